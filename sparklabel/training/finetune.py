"""`finetune`: trains on human answers, logs to MLflow, and lets the gate decide.

In: a table with human answers. Out: a registered version with its manifest, promoted if it is better on held-out
answers, and a TrainingReport. The version that is judged is read back from the registry, so that what is judged is what
is served.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.arguments import check_flags
from sparklabel.errors import SetupError
from sparklabel.language_model import TrainingConfig
from sparklabel.models.references import DEFAULT
from sparklabel.models.shipped_encoder import ENCODER
from sparklabel.tasks import Task
from sparklabel.training.call import LORA, FinetuneCall
from sparklabel.training.control import RunControl
from sparklabel.training.gate import GateResult
from sparklabel.training.held_out import HeldOutJudge
from sparklabel.training.inputs import FinetuneInputs
from sparklabel.training.processes import CHECKPOINT_MINUTES
from sparklabel.training.promotion import (
    log_gate,
    log_verdict,
    promote_if_better,
    promoted_before,
    registered_version,
)
from sparklabel.training.report import TrainingReport
from sparklabel.training.selection import train_student


def finetune(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    into: str | None = None,
    base: str = DEFAULT,
    method: str = LORA,
    encoder: str = ENCODER,
    tune_encoder: bool = False,
    hidden_states: bool | None = None,
    registered_name: str | None = None,
    config: TrainingConfig | None = None,
    force: bool = False,
    adopt_examples: bool = False,
    num_processes: int = 1,
    min_processes: int | None = None,
    use_gpu: bool | None = None,
    checkpoints: str | None = None,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    experiment: str = registry.DEFAULT_EXPERIMENT,
    progress: bool = True,
) -> TrainingReport:
    """Trains a model on a table's human answers, and promotes it if it is better.

    It trains on answers whose input has not changed since, except on a fixed fifth of the inputs, which only judges.
    The result is registered in MLflow. It becomes `models:/NAME@champion` if it is better on the held-out answers than
    the champion, with at least 100 of them and 95% confidence; without a champion that can be asked it has to beat the
    base. It only reads the table.

    `method="lora"` fine-tunes a language model. `method="classifier"` fits logistic regressions to the sentence vectors
    of the rows, and to the base's hidden states where these are quickly read and save 7% of the loss; only for
    tasks with choices. Over sentence vectors alone, a version answers several times as fast as a language model.
    `method="auto"` trains a classifier, one with its encoder, and LoRA on four fifths of the training answers, and
    chooses by the rest: one of them or both, whose probabilities are then pooled. What is chosen is trained again, on
    all of them.

    LoRA trains in this process; with `num_processes` above 1, on executors: one rank a Spark task, all in one barrier
    stage. The batches, and so the steps but for rounding, are the same however many ranks share them. A rank or an
    executor that is lost costs the steps since the newest checkpoint. If this process ends, the same call goes on.

    Args:
        spark: The session.
        table: The labeled table's name or path.
        task: The task that it was labeled with.
        key: The column, or columns, that identify each row. Only needed if no pass has remembered them.
        column: The value column, if it is not named like the task.
        into: The table that has the labels, if `table` has not.
        base: The model to fine-tune; without a champion it is also what a classifier has to beat.
        method: "lora", "classifier" or "auto".
        encoder: What a classifier reads: the shipped sentence encoder, or a folder or hub id that sentence-transformers
            has written.
        tune_encoder: Train the encoder with the classifier: minutes on a CPU, and a version of the encoder's size.
            "auto" tries that by itself.
        hidden_states: Let a classifier read the base's hidden states, too. The version then needs the base wherever it
            is served, with `engine="transformers"`. None: if there is a GPU, or the base is small.
        registered_name: The model's name in MLflow's registry. By default it is made of the task and the table.
        config: How to train with LoRA. By default it is chosen for the task.
        force: Train even though a label has no answer, or no answer agrees with the model.
        adopt_examples: Show the base examples (`examples_from`) also from a column that no pass wrote, as people's
            answers.
        num_processes: How many processes train. Each needs a slot of the cluster at the same time.
        min_processes: With how many it goes on when executors are lost and do not come back within a minute. By default
            with no fewer.
        use_gpu: Give each process a GPU of an executor. None: if executors have any.
        checkpoints: A folder for checkpoints, under the same path on the driver and on all executors. Only a single
            process, or Spark on one machine, goes without. What it has of this training is removed when the model is
            registered.
        checkpoint_minutes: How often a checkpoint is written.
        experiment: The MLflow experiment to log to.
        progress: Show a progress bar.

    Returns:
        What was trained, the gate's verdict, and what is served now.

    Raises:
        AnswersError: The human answers cannot train a model.
        TableError: The table cannot be opened.
        ColumnError: The table has no labels of the task, or a column is missing.
        KeyColumnError: The key has NULLs or duplicates, in the table or in the one for the labels.
        ModelError: The base, or the champion, does not resolve or load.
        TaskError: The task cannot be trained on this base, or a classifier cannot answer it.
        SetupError: MLflow or the extra `train` is not available; or the cluster has too few slots or no GPUs, or
            `checkpoints` is not a folder that all hosts share.
        TrainingInterrupted: Ranks were lost again and again, or too few slots are left. The same call goes on.

    All but the last, and what a rank finds where it runs, are raised before anything is trained.

    Example:
        ```python
        report = sl.finetune(spark, "tickets", intent, key="id", config=sl.TrainingConfig(epochs=2))
        print(report.gate.verdict, report.model)
        ```
    """
    call = FinetuneCall(
        table=table, task=task, key=key, column=column, into=into, base=base, method=method, encoder=encoder,
        tune_encoder=tune_encoder, hidden_states=hidden_states, registered_name=registered_name, config=config,
        force=force, adopt_examples=adopt_examples, num_processes=num_processes, min_processes=min_processes,
        use_gpu=use_gpu, checkpoints=checkpoints, checkpoint_minutes=checkpoint_minutes, experiment=experiment,
    )  # fmt: skip
    check_flags(SetupError, progress=progress)
    return run_call(spark, call, RunControl(progress))


def run_call(spark: SparkSession, call: FinetuneCall, control: RunControl) -> TrainingReport:
    """`finetune`, followed and ended by `control`. Raises TrainingInterrupted, too, when it was asked to end."""
    started, task = time.monotonic(), call.task
    inputs = FinetuneInputs.read(spark, call)
    answers, target, name = inputs.answers, inputs.table.target, inputs.registered_name
    judge = HeldOutJudge(task, inputs.base, answers, name, inputs.examples)
    # Found now: a long training must not end at a model that does not load.
    judge.baseline(registry.champion(name))
    with (
        registry.start_run(f"finetune {task.name}", experiment=call.experiment, run_id=control.run_id) as run,
        tempfile.TemporaryDirectory() as tmp,
    ):
        inputs.log(run)
        student = train_student(spark, inputs, run, control, Path(tmp))
        control.check_ours()  # a worker presumed dead must not register what its successor will
        tags = {"task_fingerprint": task.fingerprint}
        version = registered_version(run, Path(tmp), name, student.kept_in, tags)
        candidate = registry.resolve(f"models:/{name}/{version}")
        # Before the version can become the champion: a pass that finds it must find its calibrator too.
        if calibrator := judge.calibrator(candidate):
            registry.log_calibrator(run, candidate.identity, task.fingerprint, calibrator)

        def judge_and_log(champion: str | None) -> tuple[GateResult, str]:
            gate, baseline = judge.gate(candidate, champion)
            log_gate(run, gate, baseline, student.probe_accuracy)
            return gate, baseline

        # An earlier attempt may have promoted it: its own verdict counts, not one against itself.
        gate, baseline = promoted_before(run, name, version) or promote_if_better(
            name, version, judge_and_log
        )
        log_verdict(run, gate)
        # Last: an attempt after this one finds the adapter, the version and the verdict.
        control.at_the_end(student.remove)
        return TrainingReport(
            table=call.table, version=target.version, task=task.name, base=student.base,
            method=student.method, registered_name=name, model=f"models:/{name}/{version}",
            champion=candidate.identity if gate.verdict == "promoted" else judge.champion(), run_id=run.id,
            answers=len(answers.train), counts=inputs.counts, people=answers.people, agreements=answers.agreements,
            held_out=len(answers.held_out), left_out=answers.left_out, truncated=student.truncated,
            loss=student.loss, steps=student.steps, training_seconds=student.seconds,
            tokens_per_second=student.tokens_per_second, seconds=time.monotonic() - started, gate=gate,
            baseline=baseline, probe_accuracy=student.probe_accuracy, probe=student.probe,
            calibrator=calibrator,
            examples=inputs.examples.sentence if inputs.examples else "", distinct_inputs=answers.distinct_inputs,
            processes=student.processes, attempts=student.attempts, classifier=student.classifier,
            selection=student.selection,
        )  # fmt: skip
