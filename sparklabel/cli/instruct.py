"""`sparklabel instruct`: one model from the answers of many tables."""

from pathlib import Path
from typing import Annotated

import typer

from sparklabel.cli.app import app
from sparklabel.cli.options import (
    CheckpointMinutes,
    Conf,
    MinProcesses,
    NumProcesses,
    UseGpu,
    folder,
    session,
)
from sparklabel.models.references import DEFAULT


@app.command()
def instruct(
    mixture: Annotated[
        Path, typer.Option(help="The YAML file that lists tables and tasks, as in conf/mixtures/.")
    ],
    registered_name: Annotated[str, typer.Option(help="The model's name in MLflow's registry.")],
    base: Annotated[
        str, typer.Option(help="The model to train: the same forms as --model of label.")
    ] = DEFAULT,
    parameters: Annotated[
        str, typer.Option(help="lora: adapters beside frozen weights; all: every weight, a model of its own.")
    ] = "lora",
    epochs: Annotated[
        int | None, typer.Option(help="How often each row is learned. By default once.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The peak. By default 0.001 for adapters, 0.00005 for all weights.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Packs in one optimizer step. By default 16, or fewer so that there are 100 steps."
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="The size of a pack: longer inputs are cut.")] = 1024,
    judge_rows: Annotated[
        int, typer.Option(help="How many held-out rows of each task judge, at most (1 to 500).")
    ] = 200,
    num_processes: NumProcesses = 1,
    min_processes: MinProcesses = None,
    use_gpu: UseGpu = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            help="A folder for checkpoints and packed rows that the driver and all executors share: the same command "
            "goes on there."
        ),
    ] = None,
    checkpoint_minutes: CheckpointMinutes = 10.0,
    conf: Conf = None,
) -> None:
    """Train one model on the answers of many tables, and promote it if it is better and no worse at other tasks."""
    from sparklabel.training.instruction.file import load_mixture

    read = load_mixture(mixture)  # before what takes seconds to import
    from sparklabel.language_model.training.config import TrainingConfig
    from sparklabel.training.instruction.tune import instruction_tune

    config = TrainingConfig(
        parameters=parameters,  # type: ignore[arg-type]  # checked there
        epochs=epochs, learning_rate=learning_rate, batch_size=batch_size, max_tokens=max_tokens,
    )  # fmt: skip
    print(
        instruction_tune(
            session(conf), read, registered_name=registered_name, base=base, config=config, judge_rows=judge_rows,
            num_processes=num_processes, min_processes=min_processes, use_gpu=use_gpu,
            checkpoints=folder(checkpoints), checkpoint_minutes=checkpoint_minutes,
        )
    )  # fmt: skip
