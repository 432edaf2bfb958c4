"""The command line: `sparklabel label|finetune|evaluate|calibrate|demo|doctor|fetch`; each calls one public function.

Exit codes: 0 done, 1 a bug, 2 something to mend that the message names, 130 interrupted.
"""

import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console

from sparklabel.errors import SparklabelError
from sparklabel.references import DEFAULT


class _Interrupted(Exception):
    """Ctrl-C, on its way past typer, which would end without a word."""


class _Commands(typer.core.TyperGroup):
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

Table = Annotated[str, typer.Option(help="The Delta table: a name, or a path.")]
TaskFile = Annotated[Path, typer.Option(help="The task's YAML file (see conf/tasks/).")]
Key = Annotated[list[str], typer.Option(help="A column that names each row once; repeat it for several.")]
Model = Annotated[
    str, typer.Option(help="Hub id, local folder, models:/NAME@ALIAS, or the embedded default.")
]
EngineOption = Annotated[str, typer.Option(help="auto, transformers, vllm, openai or fake.")]
EngineOptions = Annotated[
    list[str] | None, typer.Option(help="An option of the engine, NAME=VALUE; repeat it for several.")
]
Conf = Annotated[list[str] | None, typer.Option(help="A Spark setting, KEY=VALUE; repeat it for several.")]
Column = Annotated[str | None, typer.Option(help="The value column, where it is not the task's name.")]


@app.command()
def label(
    table: Table,
    task: TaskFile,
    key: Key,
    model: Model = DEFAULT,
    engine: EngineOption = "auto",
    where: Annotated[str | None, typer.Option(help="A SQL condition that narrows the pass.")] = None,
    relabel: Annotated[str, typer.Option(help="none, task, or model: what else counts as pending.")] = "task",
    column: Column = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take an existing column as human answers.")] = False,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Answers with less are withheld: status uncertain.")
    ] = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    max_error_ratio: Annotated[
        float, typer.Option(min=0, max=1, help="Stop when the engine fails on a larger share of the inputs.")
    ] = 0.5,
    option: EngineOptions = None,
    conf: Conf = None,
) -> None:
    """Label the pending rows of a Delta table in place."""
    from sparklabel.table import label_table
    from sparklabel.tasks import load_task

    report = label_table(
        _session(conf), _absolute(table), load_task(task), key=key, model=model, engine=engine, where=where,
        relabel=relabel, column=column, adopt=adopt, min_confidence=min_confidence,
        max_error_ratio=max_error_ratio, dry_run=dry_run, **_options(option),
    )  # fmt: skip
    print(report)
    if report.interrupted or report.stopped:
        raise typer.Exit(130 if report.interrupted else 2)


@app.command()
def finetune(
    table: Table,
    task: TaskFile,
    key: Key,
    base: Annotated[str, typer.Option(help="The model to fine-tune.")] = DEFAULT,
    registered_name: Annotated[str | None, typer.Option(help="The name in MLflow's registry.")] = None,
    column: Column = None,
    force: Annotated[
        bool, typer.Option("--force", help="Train although a label or all agreement is missing.")
    ] = False,
    conf: Conf = None,
) -> None:
    """Fine-tune on a table's human answers; promote the model when it is better."""
    from sparklabel.tasks import load_task
    from sparklabel.training import finetune as run

    print(
        run(_session(conf), _absolute(table), load_task(task), key=key, base=base, registered_name=registered_name,
            column=column, force=force)
    )  # fmt: skip


@app.command()
def evaluate(
    table: Table,
    task: TaskFile,
    gold: Annotated[str, typer.Option(help="The column with the right answers.")],
    model: Model = DEFAULT,
    engine: EngineOption = "auto",
    option: EngineOptions = None,
    conf: Conf = None,
) -> None:
    """Compare a model's answers with a column of right ones."""
    from sparklabel.evaluation import evaluate as run
    from sparklabel.tasks import load_task

    session, options = _session(conf), _options(option)
    print(run(session, _absolute(table), load_task(task), gold, model=model, engine=engine, **options))


@app.command()
def calibrate(
    table: Table,
    task: TaskFile,
    key: Key,
    model: Annotated[
        str | None, typer.Option(help="As the records name it; by default the one with most human answers.")
    ] = None,
    column: Column = None,
    conf: Conf = None,
) -> None:
    """Fit the confidence of a table's labels to its human answers."""
    from sparklabel.evaluation import calibrate as run
    from sparklabel.tasks import load_task

    print(run(_session(conf), _absolute(table), load_task(task), key=key, model=model, column=column))


@app.command()
def demo(
    dir: Annotated[Path, typer.Option(help="Where tables and models go.")] = Path("sparklabel-demo"),
    rows: Annotated[int, typer.Option(min=1, help="Rows to label, beside 500 test rows.")] = 1500,
    answers: Annotated[int, typer.Option(min=1, help="Rows that the simulated people answer.")] = 800,
    data: Annotated[Path | None, typer.Option(help="A JSON lines file instead of the movie reviews.")] = None,
    text: Annotated[str, typer.Option(help="The field with the text, in --data.")] = "text",
    label: Annotated[str, typer.Option(help="The field with the right label, in --data.")] = "label",
) -> None:
    """Run the whole loop on this machine: label, answer, fine-tune, label anew."""
    from sparklabel.demo import run_demo

    run_demo(dir, rows, answers, data, text, label)


@app.command()
def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Also write and read a Delta table.")] = False,
) -> None:
    """Check this machine: what works, what does not, and what to do about it."""
    from sparklabel.doctor import run_doctor

    raise typer.Exit(run_doctor(deep=deep))


@app.command()
def fetch() -> None:
    """Fetch once what is not in the packages: Delta's jars; and convert the embedded model."""
    from sparklabel.jars import delta_jars
    from sparklabel.references import embedded_model

    for what, get in (("Delta's jars", lambda: delta_jars()[0].parent), (DEFAULT, embedded_model)):
        print(f"{what}: ", end="", flush=True)
        print(get(), flush=True)


def _absolute(table: str) -> str:
    """A table's path as Spark takes it: not relative to this folder; names and URIs stay."""
    local = "/" in table and "://" not in table and "`" not in table
    return str(Path(table).expanduser().absolute()) if local else table


def _session(conf: Sequence[str] | None) -> Any:
    from sparklabel.session import spark_session

    return spark_session(_pairs("--conf", conf))


def _options(given: Sequence[str] | None) -> dict[str, Any]:
    """What the shell gives as text, as Python has it: numbers, true and false; all else is text."""

    def read(text: str) -> Any:
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, int | float) else text

    return {name: read(value) for name, value in _pairs("--option", given).items()}


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs = [setting.partition("=") for setting in given or ()]
    if wrong := [key for key, mark, _ in pairs if not mark]:
        raise SparklabelError(f"{option} {wrong[0]} has no value.", hint=f"Write {option} NAME=VALUE.")
    return {key: value for key, _, value in pairs}


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


def main() -> None:
    """The `sparklabel` command."""
    run(app)
