"""The app that commands register with, and how a command ends: one message for what can be mended, and an exit code."""

import logging
import signal
import sys
from typing import Any

import typer
import typer.core
from rich.console import Console

from sparklabel.errors import SparklabelError


class _Interrupted(Exception):
    """Ctrl-C, on its way past typer, which would end without a word."""


_FIRST = ("label", "finetune", "evaluate", "calibrate", "passes", "undo", "failures", "cache", "sql")
"""In the help the loop comes first."""


class _Commands(typer.core.TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: (*_FIRST, name).index(name))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _Interrupted from None


app = typer.Typer(
    cls=_Commands,
    help="Label Delta tables in place with language models inside Spark, and fine-tune them on people's answers.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip


def run(command: Any) -> None:
    """Runs a typer app or command, and turns our errors into one message and exit code 2."""
    # What py4j logs when Ctrl-C meets it in a call; the interruption itself is told below.
    logging.getLogger().addFilter(lambda record: "py4j" not in record.pathname)
    try:
        command()
    except SparklabelError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print("[bold red]error:[/] ", end="")
        console.print(str(error), markup=False)
        sys.exit(2)
    except (KeyboardInterrupt, _Interrupted):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not stop Spark from being stopped
        print(
            "interrupted: nothing that was written is lost; the same command goes on from there",
            file=sys.stderr,
        )
        sys.exit(130)
