"""The loop: label, finetune, evaluate, calibrate."""

from typing import Annotated

import typer

from sparklabel.cli.app import app
from sparklabel.cli.options import (
    AdoptExamples,
    CheckpointMinutes,
    Column,
    Conf,
    EngineOption,
    EngineOptions,
    Fallback,
    FallbackEngine,
    Into,
    Key,
    MinProcesses,
    Model,
    NumProcesses,
    OptionalKey,
    Table,
    TaskFile,
    TaskFiles,
    UnsafeStore,
    UseGpu,
    absolute,
    engine_options,
    folder,
    number_or_word,
    optional,
    part,
    session,
)
from sparklabel.models.references import DEFAULT
from sparklabel.models.shipped_encoder import ENCODER


@app.command()
def label(
    table: Table,
    task: TaskFiles,
    key: Key = None,
    model: Model = DEFAULT,
    engine: EngineOption = "auto",
    option: EngineOptions = None,
    fallback: Fallback = None,
    fallback_below: Annotated[
        str,
        typer.Option(
            help="Ask the fallback where the confidence is below this; auto: found by people's held-out answers."
        ),
    ] = "auto",
    fallback_engine: FallbackEngine = None,
    where: Annotated[str | None, typer.Option(help="Label only rows that meet this SQL condition.")] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="A part of the rows, as NUMBER/COUNT: 0/4 to 3/4 can run at the same time."),
    ] = None,
    relabel: Annotated[
        str,
        typer.Option(
            help="Which labeled rows to label again: none; task: those of an earlier version of the task; "
            "model: also those of another model."
        ),
    ] = "task",
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Withhold answers with less confidence (status uncertain).")
    ] = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, without doing it.")
    ] = False,
    features: Annotated[
        bool,
        typer.Option(
            "--features", help="Keep the model's hidden states of rows for the review's live probe."
        ),
    ] = False,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="Label at most this many distinct inputs.")
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="Stop once this time has passed and the chunk at hand is done."),
    ] = None,
    max_error_ratio: Annotated[
        float, typer.Option(min=0, max=1, help="Stop if the engine fails on a larger share of the inputs.")
    ] = 0.5,
    max_new_corrections: Annotated[
        int,
        typer.Option(
            min=0,
            help="Refuse if more values than this differ from their records, in case no person changed them.",
        ),
    ] = 1000,
    on_drift: Annotated[
        str,
        typer.Option(help="If the answer distribution shifts from earlier passes: warn, stop, or ignore."),
    ] = "warn",
    cost_per_hour: Annotated[
        float | None, typer.Option(min=0, help="The price of the machines, for the cost in the report.")
    ] = None,
    cost_per_million_tokens: Annotated[
        float | None, typer.Option(min=0, help="The price of a hosted model, for the cost in the report.")
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take the values of an existing column as human answers.")
    ] = False,
    adopt_examples: AdoptExamples = False,
    column: Column = None,
    into: Into = None,
    staging: Annotated[
        str | None,
        typer.Option(help="The folder for answers until they are written. By default in the table's."),
    ] = None,
    cache: Annotated[
        str | None, typer.Option(help="The folder of the answer cache. By default in the table's.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither read the answer cache nor write it.")
    ] = False,
    deletion_vectors: Annotated[
        bool,
        typer.Option(
            "--deletion-vectors",
            help="Enable deletion vectors in the table: lighter writes, but readers must support them.",
        ),
    ] = False,
    allow_unsafe_store: UnsafeStore = False,
    conf: Conf = None,
) -> None:
    """Label the pending rows of a Delta table in place."""
    from sparklabel.labeling import label_table
    from sparklabel.tasks import load_task

    tasks, shards, options = (
        [load_task(one) for one in task],
        part(shard),
        engine_options("label", engine, option),
    )
    reports = label_table(
        session(conf), absolute(table), tasks, key=key, model=model, engine=engine, fallback=fallback,
        fallback_below=number_or_word(fallback_below), fallback_engine=fallback_engine, where=where, shard=shards,
        relabel=relabel, column=column, adopt=adopt, adopt_examples=adopt_examples, into=optional(into),
        min_confidence=min_confidence,
        max_error_ratio=max_error_ratio, max_rows=max_rows, max_seconds=max_seconds,
        on_drift=on_drift, cost_per_hour=cost_per_hour, cost_per_million_tokens=cost_per_million_tokens,
        max_new_corrections=max_new_corrections, staging=optional(staging),
        cache=False if no_cache else True if cache is None else absolute(cache), deletion_vectors=deletion_vectors,
        allow_unsafe_store=allow_unsafe_store, dry_run=dry_run, features=features, **options,
    )  # fmt: skip
    print(*reports, sep="\n")
    if any(report.interrupted or report.stopped for report in reports):
        raise typer.Exit(130 if any(report.interrupted for report in reports) else 2)


@app.command()
def finetune(
    table: Table,
    task: TaskFile,
    key: Key = None,
    base: Annotated[
        str, typer.Option(help="The model to fine-tune: the same forms as --model of label.")
    ] = DEFAULT,
    method: Annotated[
        str,
        typer.Option(
            help="lora; classifier: logistic regressions over vectors of rows, much faster; auto: tries and compares."
        ),
    ] = "lora",
    encoder: Annotated[
        str, typer.Option(help="What a classifier reads: a folder or hub id of sentence-transformers.")
    ] = ENCODER,
    tune_encoder: Annotated[
        bool, typer.Option("--tune-encoder", help="Train the encoder with the classifier: minutes on a CPU.")
    ] = False,
    hidden_states: Annotated[
        bool | None,
        typer.Option(
            "--hidden-states/--no-hidden-states",
            help="Let a classifier read the base's hidden states, too. By default if that is quick: on a GPU, or of a "
            "small base.",
        ),
    ] = None,
    registered_name: Annotated[
        str | None,
        typer.Option(help="The name in MLflow's registry. By default made of the task's and the table's."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Train even if a label has no answers, or people only corrected.")
    ] = False,
    num_processes: NumProcesses = 1,
    min_processes: MinProcesses = None,
    use_gpu: UseGpu = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            help="A folder for checkpoints that the driver and all executors share: the same command goes on there."
        ),
    ] = None,
    checkpoint_minutes: CheckpointMinutes = 10.0,
    adopt_examples: AdoptExamples = False,
    column: Column = None,
    into: Into = None,
    conf: Conf = None,
) -> None:
    """Fine-tune a model on a table's human answers, and promote it if it is better."""
    from sparklabel.tasks import load_task
    from sparklabel.training.finetune import finetune as run

    read = load_task(task)
    print(
        run(session(conf), absolute(table), read, key=key, base=base, method=method, encoder=encoder,
            tune_encoder=tune_encoder, hidden_states=hidden_states, registered_name=registered_name,
            column=column, into=optional(into), force=force, num_processes=num_processes,
            min_processes=min_processes, use_gpu=use_gpu, checkpoints=folder(checkpoints),
            checkpoint_minutes=checkpoint_minutes, adopt_examples=adopt_examples)
    )  # fmt: skip


@app.command()
def evaluate(
    table: Table,
    task: TaskFile,
    key: OptionalKey = None,
    model: Model = DEFAULT,
    engine: EngineOption = "auto",
    option: EngineOptions = None,
    gold: Annotated[
        str | None, typer.Option(help="The column of right answers. Without it, people's answers are used.")
    ] = None,
    adopt_examples: AdoptExamples = False,
    column: Column = None,
    into: Into = None,
    conf: Conf = None,
) -> None:
    """Compare a model's answers with the right ones: a column of gold answers, or people's."""
    from sparklabel.evaluation import evaluate as run
    from sparklabel.tasks import load_task

    read, options = load_task(task), engine_options("evaluate", engine, option)
    print(
        run(
            session(conf), absolute(table), read, gold=gold, model=model, engine=engine, key=key,
            column=column, into=optional(into), adopt_examples=adopt_examples, **options,
        )
    )  # fmt: skip


@app.command()
def calibrate(
    table: Table,
    task: TaskFile,
    key: Key = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model, as the labels record it. By default the one with most human answers."),
    ] = None,
    column: Column = None,
    into: Into = None,
    allow_unsafe_store: UnsafeStore = False,
    conf: Conf = None,
) -> None:
    """Fit the confidence of a table's labels to its human answers."""
    from sparklabel.evaluation import calibrate as run
    from sparklabel.tasks import load_task

    read = load_task(task)
    print(
        run(
            session(conf),
            absolute(table),
            read,
            key=key,
            model=model,
            column=column,
            into=optional(into),
            allow_unsafe_store=allow_unsafe_store,
        )
    )
