"""SQL with the tasks as functions: `sparklabel sql`."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from sparklabel.cli.app import app
from sparklabel.cli.options import (
    AdoptExamples,
    Conf,
    EngineOption,
    EngineOptions,
    Fallback,
    FallbackEngine,
    Model,
    engine_options,
    session,
)
from sparklabel.cli.show import show
from sparklabel.errors import SparklabelError
from sparklabel.models.references import DEFAULT

_PROMPT, _MORE = "sparklabel> ", "        ... "


@app.command()
def sql(
    statement: Annotated[
        list[str] | None,
        typer.Argument(
            help="The SQL to run. Without it, statements are read from standard input, each ended by a semicolon."
        ),
    ] = None,
    tasks: Annotated[Path, typer.Option(help="The folder of the tasks' YAML files.")] = Path("conf/tasks"),
    model: Model = DEFAULT,
    engine: EngineOption = "auto",
    option: EngineOptions = None,
    fallback: Fallback = None,
    fallback_below: Annotated[
        float | None, typer.Option(help="Ask the fallback where the confidence is below this.")
    ] = None,
    fallback_engine: FallbackEngine = None,
    adopt_examples: AdoptExamples = False,
    rows: Annotated[int, typer.Option(min=1, help="How many rows to show.")] = 100,
    conf: Conf = None,
) -> None:
    """Run SQL in which each task is a function: SELECT label_intent(text).value FROM tickets."""
    from sparklabel.udf import register_all

    options = engine_options("sql", engine, option)
    spark = session(conf)
    names = register_all(
        spark, tasks, model, engine, fallback=fallback, fallback_below=fallback_below, fallback_engine=fallback_engine,
        adopt_examples=adopt_examples, **options,
    )  # fmt: skip
    asks = sys.stdin.isatty() and not statement
    if asks:
        print(f"functions: {', '.join(names)}; Ctrl-D ends")
    for one in statement or _statements(asks):
        try:
            _show(spark, one, rows)
        except SparklabelError as error:
            if not asks:
                raise
            print(f"error: {error}", file=sys.stderr)


def _show(spark: Any, statement: str, rows: int) -> None:
    """Raises SparklabelError with the first line of Spark's message."""
    from sparklabel.delta.errors import error_message, spark_errors
    from sparklabel.udf import worker_errors

    try:
        with worker_errors():
            result = spark.sql(statement)
            if result.columns:
                show(result, rows, truncate=80)
    except spark_errors() as error:
        raise SparklabelError(error_message(error)) from None


def _statements(asks: bool) -> Iterator[str]:
    """From standard input, each up to a line that ends with a semicolon. The last one needs none."""
    if asks:
        with suppress(ImportError):
            import readline  # noqa: F401 arrows and history
    lines: list[str] = []
    while True:
        try:
            line = input((_MORE if lines else _PROMPT) if asks else "")
        except EOFError:
            break
        except KeyboardInterrupt:
            if not asks:
                raise
            lines.clear()
            print()
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines).rstrip().rstrip(";")
            lines.clear()
    if rest := "\n".join(lines).strip():
        yield rest
