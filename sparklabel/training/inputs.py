"""What a fine-tuning is made of: a table's human answers, a base, and who trains. Read and checked; nothing is loaded.

In: a session, a `FinetuneCall`. Out: `FinetuneInputs`.
"""

import json
from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.delta.session import check_session
from sparklabel.few_shot import ExampleSet
from sparklabel.language_model import TrainingConfig
from sparklabel.models.encoders import resolve_encoder
from sparklabel.models.references import ResolvedModel
from sparklabel.table.examples import pinned_examples
from sparklabel.table.human_answers import HumanAnswers, human_answers
from sparklabel.table.task_table import TaskTable, open_task_table
from sparklabel.tasks import Scored
from sparklabel.training.call import CLASSIFIER, LORA, FinetuneCall
from sparklabel.training.checks import check_answers, check_scored
from sparklabel.training.job import TrainingJob
from sparklabel.training.processes import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneInputs:
    """What was read.

    Attributes:
        call: What was asked for.
        processes: Who trains.
        opened: The table, at a pinned version; None for answers of a benchmark.
        answers: Its human answers.
        base: The language model: what is fine-tuned, or what a first classifier has to beat.
        encoder: What a classifier reads; None if none is fitted.
        registered_name: The model's name in the registry.
        examples: Those that an untrained model is asked with.
        own: Keeps a training apart from equal ones: a candidate's MLflow run.
    """

    call: FinetuneCall
    processes: Processes
    opened: TaskTable | None
    answers: HumanAnswers
    base: ResolvedModel
    encoder: ResolvedModel | None
    registered_name: str
    examples: ExampleSet | None
    own: str = ""

    @classmethod
    def read(cls, spark: SparkSession, call: FinetuneCall) -> "FinetuneInputs":
        """Raises what `finetune` says that it raises before it trains."""
        check_session(spark)
        task = call.task
        # Before answers are read: a wrong name is told first, however few there are.
        encoder, base = encoder_of(call), registry.resolve(call.base)
        processes = Processes.checked(
            spark, call.num_processes, call.min_processes, call.use_gpu, call.checkpoints, call.checkpoint_minutes
        )  # fmt: skip
        opened = open_task_table(spark, call.table, task, call.key, call.column, into=call.into)
        opened.check_labeled(task, "Label it first: sparklabel.label_table(...).")
        opened.check_one_label_each(spark)
        answers = human_answers(spark, opened, task)
        check_answers(answers, task, opened, call.force)
        location = opened.source.location or opened.target.location
        return cls(
            call=call, processes=processes, opened=opened, answers=answers, base=base, encoder=encoder,
            registered_name=call.registered_name or registry.default_registered_name(task.name, location),
            # The base is judged with the examples that a pass would show it.
            examples=pinned_examples(spark, task, call.adopt_examples),
        )  # fmt: skip

    @property
    def table(self) -> TaskTable:
        """`opened`, of what was read from a table."""
        assert self.opened, "answers without a table"
        return self.opened

    def for_search(self, own: str) -> "FinetuneInputs":
        """The same for a candidate of a search, which only the training answers train and judge."""
        return replace(self, answers=self.answers.for_search(), own=own)

    def job(self) -> TrainingJob:
        """The training of an adapter."""
        config = self.call.config or TrainingConfig()
        return TrainingJob.prepare(self.call.task, self.base, self.answers, config, self.own)

    @property
    def counts(self) -> dict[str, int]:
        """The training answers by what they say."""
        return self.answers.counts(self.call.task.answer_mode)

    @property
    def _learns_from(self) -> ResolvedModel:
        return self.encoder if self.encoder and self.call.method == CLASSIFIER else self.base

    def log(self, run: registry.Run) -> None:
        """Logs what is trained on. Also finds out whether artifacts can be written, which the adapter needs after hours
        of training. Raises SetupError."""
        target, task, answers = self.table.target, self.call.task, self.answers
        run.log_table(target.name, location=target.location, version=target.version)
        run.log_params(
            {
                "task": task.name, "task_fingerprint": task.fingerprint, "method": self.call.method,
                "base": self._learns_from.identity, "answers": len(answers.train),
                "agreements": answers.agreements, "held_out": len(answers.held_out), "labels": json.dumps(self.counts),
                "table": self.call.table, "table_version": target.version,
            }
        )  # fmt: skip
        run.log_text("task.json", json.dumps(task.to_dict(), ensure_ascii=False))


def encoder_of(call: FinetuneCall) -> ResolvedModel | None:
    """The encoder that the call's classifier reads; None if it trains none. Raises TaskError for a classifier of
    written answers, and what resolving raises."""
    if call.method == CLASSIFIER:
        check_scored(call.task)
    has_classifier = call.method != LORA and isinstance(call.task.answer_mode, Scored)
    return resolve_encoder(call.encoder) if has_classifier else None
