"""`instruction_tune`: trains one model on the answers of many tables, logs to MLflow, and lets the gate decide.

In: a mixture. Out: a registered version that labels any task, promoted if it is better at the tasks that it was taught
and no worse at those that it was not, and an InstructionReport.
"""

import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.arguments import check_flags
from sparklabel.delta.session import check_session
from sparklabel.errors import ModelError, ModelUnreachable, SetupError, TaskError
from sparklabel.language_model import ModelTokenizer, TrainingConfig, TrainingSummary
from sparklabel.language_model.training.config import ALL
from sparklabel.models.references import DEFAULT, ResolvedModel
from sparklabel.progress import WorkProgress, note, tell
from sparklabel.training.baseline import BASE, CHAMPION
from sparklabel.training.control import RunControl
from sparklabel.training.gate import MINIMUM_ANSWERS, GateResult
from sparklabel.training.instruction.generalization import Generalization
from sparklabel.training.instruction.judge import JudgedTask, MixtureJudge, check_asked
from sparklabel.training.instruction.mixture import Mixture
from sparklabel.training.instruction.packed_training import trained_version
from sparklabel.training.instruction.preparation import (
    Preparation,
    Unfinished,
    mixture_digest,
    packs_digest,
    prepared,
)
from sparklabel.training.instruction.prepare import prepare
from sparklabel.training.instruction.rendering import check_fits
from sparklabel.training.instruction.report import InstructionReport, SourceReport
from sparklabel.training.instruction.sources import JUDGED, pin, read_sources
from sparklabel.training.processes import CHECKPOINT_MINUTES, Processes
from sparklabel.training.promotion import (
    log_gate,
    log_verdict,
    promote_if_better,
    promoted_before,
    registered_version,
)

JUDGE_ROWS = 200
_OF_ADAPTERS = ("top_layers", "target_modules", "rank", "lora_alpha")
"""Fields of a TrainingConfig."""


def instruction_tune(
    spark: SparkSession,
    mixture: Mixture,
    *,
    registered_name: str,
    base: str = DEFAULT,
    config: TrainingConfig | None = None,
    judge_rows: int = JUDGE_ROWS,
    num_processes: int = 1,
    min_processes: int | None = None,
    use_gpu: bool | None = None,
    checkpoints: str | None = None,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    experiment: str = registry.DEFAULT_EXPERIMENT,
    progress: bool = True,
) -> InstructionReport:
    """Trains one model on the answers of many tables, so that it labels new tasks better than its base.

    Each table is pinned to its version. Spark renders the rows as an untrained model is asked, with the task's whole
    instructions and with some examples, tokenizes them, and packs them into files; an equal mixture is packed once.
    What is learned are the answers. In every table the fixed fifth of the inputs is held out, and tables with
    `held_out=True` are not learned from at all.

    The result is registered in MLflow. It becomes `models:/NAME@champion` if it is better than the champion, or than
    the base, at the tasks that it was taught, and not worse at those that it was not; 95% intervals. It labels any
    task: `label_table(..., model="models:/NAME@champion")`.

    The training writes checkpoints: if this process ends, the same call goes on, with the versions of the tables that
    it began with.

    Args:
        spark: The session.
        mixture: The tables, from `mixture` or `load_mixture`.
        registered_name: The model's name in MLflow.
        base: The model to train.
        config: How to train: adapters, or all weights with `parameters="all"`.
        judge_rows: How many held-out rows of each task judge, at most; up to 500.
        num_processes: How many processes train, as for `finetune`.
        min_processes: As for `finetune`.
        use_gpu: As for `finetune`.
        checkpoints: A folder for checkpoints and packed rows, under the same path on the driver and on all executors.
            Only Spark on one machine goes without.
        checkpoint_minutes: How often a checkpoint is written.
        experiment: The MLflow experiment to log to.
        progress: Show progress bars.

    Returns:
        What was learned, accuracy by task, the gate's verdict, and what is served now.

    Raises:
        AnswersError: A source has no answers, or too many that its task does not take.
        TableError: A table cannot be opened, or files of its version are gone.
        ColumnError: A column is missing, or has the wrong type.
        KeyColumnError: The key of a table with people's answers has NULLs or duplicates.
        TaskError: A task does not fit into a pack, or cannot be asked of the base.
        ModelError: The base does not resolve or load, or cannot be trained in packs.
        SetupError: An argument is not what it should be, MLflow is not available, or the cluster has too few slots.
        TrainingInterrupted: Ranks were lost again and again, or too few slots are left. The same call goes on.

    Example:
        ```python
        mixture = sl.mixture([sl.source("tickets", intent, key="id"), sl.source("reviews", verdict, key="id")])
        report = sl.instruction_tune(spark, mixture, registered_name="labeler")
        print(report.generalization.unseen, report.model)
        ```
    """
    _check_arguments(mixture, config, judge_rows, num_processes, progress)
    check_session(spark)
    registry.check_registered_name(registered_name)
    registry.check_experiment(experiment)
    started, config, control = time.monotonic(), config or TrainingConfig(), RunControl(progress)
    model = registry.resolve(base)
    record = registry.base_record(model)
    processes = Processes.checked(
        spark, num_processes, min_processes, use_gpu, checkpoints, checkpoint_minutes, needs_folder=True
    )
    assert processes.checkpoints is not None, "needed"
    tokenizer = ModelTokenizer.load(registry.tokenizer_folder(model))
    config = replace(config, max_tokens=min(config.max_tokens, tokenizer.context))
    for one in mixture.trained:
        check_fits(one.task, tokenizer, config.max_tokens)
    check_asked((one.task for one in mixture.sources), model)
    (here,) = spark.sql("SELECT current_catalog(), current_database()").collect()
    key = mixture_digest(mixture, model, asdict(config), registered_name, list(here))
    unfinished = Unfinished(processes.checkpoints / f"mixture-{key}.json")
    packed = unfinished.packed() or _packed(
        spark, mixture, model, config.max_tokens, processes.checkpoints, control
    )
    judge = MixtureJudge(_judged(mixture, packed, judge_rows), control)
    _tell_if_undecidable(judge)
    if (earlier := unfinished.run_id) and not registry.has_run(earlier):
        earlier = None
    title = f"instruction tuning of {registered_name}"
    with (
        registry.start_run(title, experiment=experiment, run_id=earlier) as run,
        tempfile.TemporaryDirectory() as tmp,
    ):
        unfinished.note(packed, run.id)
        _log(run, mixture, packed, model)
        kept = trained_version(spark, model, record, packed, config, processes, run, control)
        kept.copy_files(Path(tmp))
        version = registered_version(run, Path(tmp), registered_name, kept.folder)
        candidate = registry.resolve(f"models:/{registered_name}/{version}")
        found: list[Generalization | None] = [None]

        def judge_and_log(champion: str | None) -> tuple[GateResult, str]:
            old, name = _baseline(registered_name, champion, model, judge)
            gate, found[0] = judge.gate(candidate, old, name)
            log_gate(run, gate, name, None)
            return gate, name

        gate, baseline = promoted_before(run, registered_name, version) or promote_if_better(
            registered_name, version, judge_and_log
        )
        log_verdict(run, gate)
        _log_tasks(run, found[0])
        unfinished.remove()
        kept.remove()
        champion, manifest = registry.champion(registered_name), packed.folder.manifest
        summary = TrainingSummary.from_dict(kept.outcome["summary"])
        return InstructionReport(
            sources=_sources(mixture, packed), base=model.identity, model=f"models:/{registered_name}/{version}",
            registered_name=registered_name,
            champion=f"models:/{registered_name}/{champion}" if champion else None, run_id=run.id, gate=gate,
            baseline=baseline, generalization=found[0], packs=manifest.packs, tokens=manifest.tokens,
            learned_tokens=manifest.learned, padding=manifest.padding, steps=summary.steps, loss=summary.loss,
            training_seconds=summary.seconds, seconds=time.monotonic() - started,
            processes=kept.outcome["processes"], attempts=kept.outcome["attempts"],
        )  # fmt: skip


def _check_arguments(
    mixture: object, config: object, judge_rows: object, num_processes: object, progress: object
) -> None:
    check_flags(SetupError, progress=progress)
    if not isinstance(mixture, Mixture):
        raise SetupError(f"{mixture!r} is not a mixture.", hint="Make one with sparklabel.mixture([...]).")
    if not isinstance(config, TrainingConfig | None):
        raise SetupError(f"config={config!r} is not a TrainingConfig.")
    if config and config.parameters == ALL and (unused := config.changed(*_OF_ADAPTERS)):
        raise SetupError(
            f"config has {unused[0]}={getattr(config, unused[0])!r}, which is of adapters, and parameters='all' trains "
            "every weight.",
            hint="Leave one of the two out.",
        )
    if config and config.shard and num_processes == 1:
        raise SetupError(
            "shard=True divides the model among processes, and there is one.",
            hint="Give num_processes=2, or more.",
        )
    if not (isinstance(judge_rows, int) and not isinstance(judge_rows, bool) and 1 <= judge_rows <= JUDGED):
        raise SetupError(f"judge_rows={judge_rows!r} is not a number of rows from 1 to {JUDGED}.")


def _packed(
    spark: SparkSession, mixture: Mixture, base: ResolvedModel, size: int, root: Path, control: RunControl
) -> Preparation:
    """What the tables' newest versions are packed into, unless an earlier call has packed the same."""
    with WorkProgress("preparing the mixture", len(mixture.sources) + 2, control.progress) as bar:
        pinned = []
        for one in mixture.sources:
            pinned.append(pin(spark, one))
            bar.advance(1, one.table)
        path = root / f"packs-{packs_digest(mixture, pinned, base, size)}"
        if found := prepared(path):
            note(f"the mixture was packed before, and is used: {path}")
            return found
        bar.advance(0, "counting rows")
        rows = read_sources(spark, mixture, pinned)
        bar.advance(1, "packing")
        found = prepare(spark, mixture, pinned, rows, base, size, path)
        bar.advance(1, "packed")
        return found


def _judged(mixture: Mixture, packed: Preparation, most: int) -> list[JudgedTask]:
    pairs = zip(mixture.sources, packed.sources, strict=True)
    return JudgedTask.of_tables(((one.task, one.held_out, found.judges) for one, found in pairs), most)


def _tell_if_undecidable(judge: MixtureJudge) -> None:
    if (rows := judge.taught_rows) < MINIMUM_ANSWERS:
        tell(
            f"the tasks that are taught have {rows} held-out rows, and the gate decides on {MINIMUM_ANSWERS}: the "
            "model will be registered, and not promoted"
        )


def _baseline(
    name: str, champion: str | None, base: ResolvedModel, judge: MixtureJudge
) -> tuple[ResolvedModel, str]:
    """The champion, if it can be served and asked; else the base. Raises ModelUnreachable: an outage must not make a
    new version the champion for beating the base."""
    if champion is None:
        return base, BASE
    try:
        found = registry.resolve(f"models:/{name}/{champion}")
        registry.fetch(found)
        judge.check(found)
    except ModelUnreachable:
        raise
    except (ModelError, TaskError) as error:
        tell(f"the champion, version {champion}, was not asked: {error.message}")
        return base, BASE
    return found, CHAMPION


def _log(run: registry.Run, mixture: Mixture, packed: Preparation, base: ResolvedModel) -> None:
    for one, found in zip(mixture.sources, packed.sources, strict=True):
        context = "evaluation" if one.held_out else "training"
        run.log_table(found.name, location=found.location, version=found.version, context=context)
    manifest = packed.folder.manifest
    run.log_params(
        {
            "base": base.identity, "sources": len(packed.sources), "cap": mixture.cap,
            "temperature": mixture.temperature, "few_shot": list(mixture.few_shot),
            "shuffle_labels": mixture.shuffle_labels, "seed": mixture.seed,
            "packs": manifest.packs, "tokens": manifest.tokens, "learned_tokens": manifest.learned,
        }
    )  # fmt: skip


def _log_tasks(run: registry.Run, found: Generalization | None) -> None:
    if found is None:
        return
    figures = {f"task.{one.task}.accuracy": one.accuracy_new for one in found.tasks}
    figures |= {f"task.{one.task}.gain": one.gain for one in found.tasks}
    for name, mean in (("trained", found.trained), ("unseen", found.unseen)):
        if mean:
            figures |= {f"{name}.gain": mean.gain, f"{name}.gain_lower95": mean.lower95}
    run.log_metrics(figures)


def _sources(mixture: Mixture, packed: Preparation) -> tuple[SourceReport, ...]:
    return tuple(
        SourceReport(
            table=found.name, version=found.version, task=one.task.name, held_out=one.held_out, rows=found.counts,
            copies=found.copies, pieces=found.pieces, truncated=found.truncated, too_long=found.too_long,
        )
        for one, found in zip(mixture.sources, packed.sources, strict=True)
    )  # fmt: skip
