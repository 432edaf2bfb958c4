"""What a fine-tuning is made of: a table's human answers, a base, and who trains. Read and checked; nothing is loaded.

In: a session, a `FinetuneCall`. Out: `FinetuneInputs`.
"""

import json
from dataclasses import dataclass

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.delta.session import check_session
from sparklabel.few_shot import ExampleSet
from sparklabel.language_model import TrainingConfig
from sparklabel.models.references import ResolvedModel
from sparklabel.table.examples import pinned_examples
from sparklabel.table.human_answers import HumanAnswers, human_answers
from sparklabel.table.task_table import TaskTable, open_task_table
from sparklabel.training.call import FinetuneCall
from sparklabel.training.checks import check_answers
from sparklabel.training.job import TrainingJob
from sparklabel.training.processes import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneInputs:
    """What was read.

    Attributes:
        call: What was asked for.
        processes: Who trains.
        opened: The table, at a pinned version.
        answers: Its human answers.
        base: The model to fine-tune.
        registered_name: The model's name in the registry.
        examples: Those that an untrained model is asked with.
    """

    call: FinetuneCall
    processes: Processes
    opened: TaskTable
    answers: HumanAnswers
    base: ResolvedModel
    registered_name: str
    examples: ExampleSet | None

    @classmethod
    def read(cls, spark: SparkSession, call: FinetuneCall) -> "FinetuneInputs":
        """Raises what `finetune` says that it raises before it trains."""
        check_session(spark)
        task = call.task
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
            call=call, processes=processes, opened=opened, answers=answers, base=registry.resolve(call.base),
            registered_name=call.registered_name or registry.default_registered_name(task.name, location),
            # The base is judged with the examples that a pass would show it.
            examples=pinned_examples(spark, task, call.adopt_examples),
        )  # fmt: skip

    def job(self, answers: HumanAnswers | None = None, own: str = "") -> TrainingJob:
        """What is trained, on these answers in place of all; `own` keeps it apart from equal trainings."""
        config = self.call.config or TrainingConfig()
        return TrainingJob.prepare(self.call.task, self.base, answers or self.answers, config, own)

    def log(self, run: registry.Run, job: TrainingJob) -> None:
        """Logs what is trained on. Also finds out whether artifacts can be written, which the adapter needs after hours
        of training. Raises SetupError."""
        target = self.opened.target
        run.log_table(target.name, location=target.location, version=target.version)
        run.log_params(job.params() | {"table": self.call.table, "table_version": target.version})
        run.log_text("task.json", json.dumps(self.call.task.to_dict(), ensure_ascii=False))
