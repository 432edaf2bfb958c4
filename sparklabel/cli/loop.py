"""The loop: label, finetune, evaluate, calibrate."""

from typing import Annotated

import typer

from sparklabel.cli.app import app
from sparklabel.cli.options import (
    Column,
    Conf,
    EngineOption,
    EngineOptions,
    Into,
    Key,
    Model,
    OptionalKey,
    Table,
    TaskFile,
    TaskFiles,
    absolute,
    engine_options,
    optional,
    session,
)
from sparklabel.models.references import DEFAULT


@app.command()
def label(
    table: Table,
    task: TaskFiles,
    key: Key,
    model: Model = DEFAULT,
    engine: EngineOption = "auto",
    where: Annotated[str | None, typer.Option(help="A SQL condition that narrows the pass.")] = None,
    relabel: Annotated[str, typer.Option(help="none, task, or model: what else counts as pending.")] = "task",
    column: Column = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take an existing column as human answers.")] = False,
    into: Into = None,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Answers with less are withheld: status uncertain.")
    ] = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    max_error_ratio: Annotated[
        float, typer.Option(min=0, max=1, help="Stop when the engine fails on a larger share of the inputs.")
    ] = 0.5,
    max_rows: Annotated[int | None, typer.Option(min=1, help="Ask at most so many distinct inputs.")] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="Stop after the chunk in which so many seconds have passed."),
    ] = None,
    max_new_corrections: Annotated[
        int,
        typer.Option(min=0, help="Refuse when more values than so many differ from their records unasked."),
    ] = 1000,
    on_drift: Annotated[
        str, typer.Option(help="warn, stop, ignore: where answers are spread otherwise than the table's.")
    ] = "warn",
    cost_per_hour: Annotated[
        float | None, typer.Option(min=0, help="Of what computes: the report says what the pass cost.")
    ] = None,
    cost_per_million_tokens: Annotated[
        float | None, typer.Option(min=0, help="Of a hosted model: the report says what the pass cost.")
    ] = None,
    staging: Annotated[
        str | None, typer.Option(help="The folder where answers wait; by default inside the table's.")
    ] = None,
    cache: Annotated[
        str | None, typer.Option(help="The folder of answers given before; by default inside the table's.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Compute answers anew that were given before.")
    ] = False,
    deletion_vectors: Annotated[
        bool,
        typer.Option("--deletion-vectors", help="Switch these on in the table, which lifts its protocol."),
    ] = False,
    option: EngineOptions = None,
    conf: Conf = None,
) -> None:
    """Label the pending rows of a Delta table in place."""
    from sparklabel.labeling import label_table
    from sparklabel.tasks import load_task

    reports = label_table(
        session(conf), absolute(table), [load_task(one) for one in task], key=key, model=model, engine=engine,
        where=where, relabel=relabel, column=column, adopt=adopt, into=optional(into), min_confidence=min_confidence,
        max_error_ratio=max_error_ratio, max_rows=max_rows, max_seconds=max_seconds,
        on_drift=on_drift, cost_per_hour=cost_per_hour, cost_per_million_tokens=cost_per_million_tokens,
        max_new_corrections=max_new_corrections, staging=optional(staging),
        cache=False if no_cache else True if cache is None else absolute(cache), deletion_vectors=deletion_vectors,
        dry_run=dry_run, **engine_options(option),
    )  # fmt: skip
    print(*reports, sep="\n")
    if any(report.interrupted or report.stopped for report in reports):
        raise typer.Exit(130 if any(report.interrupted for report in reports) else 2)


@app.command()
def finetune(
    table: Table,
    task: TaskFile,
    key: Key,
    base: Annotated[str, typer.Option(help="The model to fine-tune.")] = DEFAULT,
    registered_name: Annotated[str | None, typer.Option(help="The name in MLflow's registry.")] = None,
    column: Column = None,
    into: Into = None,
    force: Annotated[
        bool, typer.Option("--force", help="Train although a label or all agreement is missing.")
    ] = False,
    conf: Conf = None,
) -> None:
    """Fine-tune on a table's human answers; promote the model when it is better."""
    from sparklabel.tasks import load_task
    from sparklabel.training import finetune as run

    print(
        run(session(conf), absolute(table), load_task(task), key=key, base=base, registered_name=registered_name,
            column=column, into=optional(into), force=force)
    )  # fmt: skip


@app.command()
def evaluate(
    table: Table,
    task: TaskFile,
    gold: Annotated[
        str | None,
        typer.Option(help="The column with the right answers; without it, what people answered (--key)."),
    ] = None,
    model: Model = DEFAULT,
    engine: EngineOption = "auto",
    option: EngineOptions = None,
    key: OptionalKey = None,
    column: Column = None,
    into: Into = None,
    conf: Conf = None,
) -> None:
    """Compare a model's answers with a column of right ones, or with people's."""
    from sparklabel.evaluation import evaluate as run
    from sparklabel.tasks import load_task

    spark, options = session(conf), engine_options(option)
    print(
        run(
            spark, absolute(table), load_task(task), gold=gold, model=model, engine=engine, key=key or None,
            column=column, into=optional(into), **options,
        )
    )  # fmt: skip


@app.command()
def calibrate(
    table: Table,
    task: TaskFile,
    key: Key,
    model: Annotated[
        str | None, typer.Option(help="As the records name it; by default the one with most human answers.")
    ] = None,
    column: Column = None,
    into: Into = None,
    conf: Conf = None,
) -> None:
    """Fit the confidence of a table's labels to its human answers."""
    from sparklabel.evaluation import calibrate as run
    from sparklabel.tasks import load_task

    print(
        run(
            session(conf),
            absolute(table),
            load_task(task),
            key=key,
            model=model,
            column=column,
            into=optional(into),
        )
    )
