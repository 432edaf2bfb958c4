"""The companion job: fine-tune on human answers, log to MLflow, let the gate decide.

In: a table with human answers. Out: a registered version with its card, promoted when it is better on held-out
answers, and a TrainingReport. The version that is judged is read back from the registry: what is gated is served.
"""

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.errors import TaskError
from sparklabel.language_model import TrainingConfig
from sparklabel.models.references import DEFAULT
from sparklabel.table.examples import pinned_examples
from sparklabel.table.human_answers import human_answers
from sparklabel.table.task_table import open_task_table
from sparklabel.tasks import Task, check_task
from sparklabel.training.checks import check_answers
from sparklabel.training.gate import GateResult
from sparklabel.training.job import TrainingJob
from sparklabel.training.promotion import promote_if_better
from sparklabel.training.report import TrainingReport


def finetune(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    base: str = DEFAULT,
    registered_name: str | None = None,
    num_processes: int = 1,
    column: str | None = None,
    into: str | None = None,
    force: bool = False,
    config: TrainingConfig | None = None,
    experiment: str = "sparklabel",
    progress: bool = True,
) -> TrainingReport:
    """Fine-tunes `base` with LoRA on the human answers of a table, and registers the result in MLflow.

    Trains on answers whose input is still what was answered, except a fixed fifth of the inputs that only ever judges.
    The new version becomes `models:/NAME@champion` when it is better than the champion (or the base, without one that
    can be asked) on those, with at least 100 of them and 95% confidence. The name comes from task and table unless
    `registered_name` says otherwise. `into` is the table that has the labels, where they are not in `table` itself.
    `force` trains although a label or all agreement is missing. Runs in this process; the table is only read.

    Raises AnswersError, TableError, ColumnError, KeyColumnError, ModelError, SetupError or TaskError before anything
    is trained.
    """
    started = time.monotonic()
    if num_processes != 1:
        raise TaskError(
            f"num_processes={num_processes}: training on several processes is not there yet; use 1."
        )
    check_task(task)
    if registered_name is not None:
        registry.check_registered_name(registered_name)
    opened = open_task_table(spark, table, task, key, column, into=into)
    target = opened.target
    opened.check_labeled(task, "Label it first: sparklabel.label_table(...).")
    answers = human_answers(spark, opened, task)
    check_answers(answers, task, opened, force)
    resolved = registry.resolve(base)
    name = registered_name or registry.default_registered_name(
        task.name, opened.source.location or target.location
    )
    examples = pinned_examples(spark, task)  # the base is judged as it is asked
    job = TrainingJob(task, resolved, answers, config or TrainingConfig(), name, examples)
    job.baseline(registry.champion(name))
    with (
        registry.start_run(f"finetune {task.name}", experiment=experiment) as run,
        tempfile.TemporaryDirectory() as tmp,
    ):
        run.log_table(target.name, location=target.location, version=target.version)
        run.log_params(job.params() | {"table": table, "table_version": target.version})
        summary, probe = job.train(Path(tmp), run, progress)
        version = registry.log_version(run, Path(tmp), name, {"task_fingerprint": task.fingerprint})
        candidate = registry.resolve(f"models:/{name}/{version}")
        # Before the version can be the champion: a pass that finds it there finds its calibrator too.
        if calibrator := job.calibrator(candidate):
            registry.log_calibrator(run, candidate.identity, task.fingerprint, calibrator)
        gate, baseline = promote_if_better(name, version, partial(job.gate, candidate))
        _log_gate(run, gate, baseline, probe)
        champion = candidate.identity if gate.verdict == "promoted" else job.served()
        return TrainingReport(
            table=table, version=target.version, task=task.name, base=resolved.identity, registered_name=name,
            model=f"models:/{name}/{version}", champion=champion, run_id=run.id,
            answers=len(answers.train), counts=job.counts, agreements=answers.agreements,
            held_out=len(answers.held_out), left_out=answers.left_out, cut=job.cut, loss=summary.loss,
            steps=summary.steps, training_seconds=summary.seconds,
            tokens_per_second=summary.tokens / summary.seconds, seconds=time.monotonic() - started, gate=gate,
            baseline=baseline, probe_accuracy=probe, calibrator=calibrator,
        )  # fmt: skip


def _log_gate(run: registry.Run, gate: GateResult, baseline: str, probe: float | None) -> None:
    figures = {"accuracy_new": gate.accuracy_new, "accuracy_old": gate.accuracy_old, "gain": gate.gain,
               "gain_lower95": gate.lower95, "gain_upper95": gate.upper95}  # fmt: skip
    run.log_metrics({f"gate.{k}": v for k, v in figures.items() if gate.n} | {"probe_accuracy": probe})
    run.set_tags({"gate.verdict": gate.verdict, "gate.reason": gate.reason, "gate.opponent": baseline})
