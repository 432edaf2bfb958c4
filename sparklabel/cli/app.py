"""The app that commands register with, and how a command ends: one message for what can be fixed, and an exit code."""

import logging
import signal
import sys
from importlib.metadata import version as installed
from typing import Annotated, Any

import typer
import typer.core

from sparklabel.errors import SparklabelError
from sparklabel.progress import LOG, log_to_stderr, stderr_console

_KEPT = "what was written is kept, and the same command continues from there"


class _Interrupted(Exception):
    """Ctrl-C, carried past typer, which would exit without a message. Its arguments are what it left, if not that
    what was written is kept."""


_FIRST = (
    "label", "review", "flush", "agreement", "finetune", "runs", "evaluate", "calibrate", "benchmark", "passes", "undo",
    "restore", "failures", "cache", "tidy", "sql",
)  # fmt: skip
"""In the order of the loop; the help lists these before the others."""


class _Commands(typer.core.TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: (*_FIRST, name).index(name))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise _Interrupted(*getattr(interrupt, "__notes__", ())) from None


app = typer.Typer(
    cls=_Commands,
    help="Label Delta tables in place with language models inside Spark, and fine-tune them on people's answers.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"sparklabel {installed('sparklabel')}")
        raise typer.Exit


@app.callback()
def _of_all_commands(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


def run(command: Any) -> None:
    """Runs a typer app or command. Shows notes and warnings on stderr, and turns errors of sparklabel into one message
    and exit code 2."""
    log_to_stderr()
    # py4j logs a traceback if Ctrl-C arrives during one of its calls; the interruption itself is reported below.
    logging.getLogger().addFilter(lambda record: "py4j" not in record.pathname)
    try:
        command()
    except SparklabelError as error:
        stderr_console().print("[bold red]error:[/] ", end="", highlight=False)
        stderr_console().print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except (KeyboardInterrupt, _Interrupted) as interrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not stop Spark from being stopped
        LOG.warning("interrupted; %s", "; ".join(map(str, interrupt.args)) or _KEPT)
        sys.exit(130)
