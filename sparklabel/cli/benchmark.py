"""`sparklabel benchmark`: models on data sets, as they are and taught by answers."""

from pathlib import Path
from typing import Annotated

import typer

from sparklabel.cli.app import app
from sparklabel.cli.options import Conf, EngineOption, EngineOptions, engine_options, session
from sparklabel.models.references import DEFAULT


@app.command()
def benchmark(
    suite: Annotated[Path, typer.Argument(help="A folder of data sets in YAML, as conf/benchmark.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model: the same forms as --model of label. Repeat it for several. By default the embedded one."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="How answers teach it: lora, classifier or auto. Repeat it to compare."),
    ] = None,
    answers: Annotated[
        list[int] | None, typer.Option(help="How many answers teach it; 0: none. Repeat it for a curve.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder with the sets' files. By default the suite's.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="A set to measure. Repeat it for several.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="Test rows of each set, at most.")] = 1000,
    out: Annotated[Path, typer.Option(help="The folder for cells, table, charts and page.")] = Path(
        "benchmark"
    ),
    engine: EngineOption = "auto",
    option: EngineOptions = None,
    cost_per_hour: Annotated[
        float | None, typer.Option(min=0, help="The price of the machine, for the cost of 1,000 rows.")
    ] = None,
    cost_per_million_tokens: Annotated[
        float | None, typer.Option(min=0, help="The price of a hosted model, for the cost of 1,000 rows.")
    ] = None,
    allow_shared: Annotated[
        bool, typer.Option("--allow-shared", help="Also where test rows are among the training rows.")
    ] = False,
    conf: Conf = None,
) -> None:
    """Measure models on data sets, as they are and taught by answers. Resumes after a kill."""
    from sparklabel.benchmarking.run import benchmark as run
    from sparklabel.benchmarking.suite import load_suite

    options = engine_options("benchmark", engine, option)
    entries = [
        {
            "model": one, "method": way, "engine": engine, "options": options, "cost_per_hour": cost_per_hour,
            "cost_per_million_tokens": cost_per_million_tokens,
        }
        for one in model or [DEFAULT]
        for way in method or ["lora"]
    ]  # fmt: skip
    has_table = any(one.table for name, one in load_suite(suite).items() if not only or name in only)
    report = run(
        suite, models=entries, answers=answers or [0], data=data, only=only or None, rows=rows, out=out,
        allow_shared=allow_shared, spark=session(conf) if has_table else None,
    )  # fmt: skip
    print(report)
    if report.failed:
        raise typer.Exit(2)
