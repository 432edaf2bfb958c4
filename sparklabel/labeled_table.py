"""`open_table`: one table, one task, and everything that can be done with them.

In: a table, a task, how rows and columns are named. Out: a handle with a method for each step of the loop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel import registry
from sparklabel.arguments import check_arguments
from sparklabel.engines import EngineOptions
from sparklabel.errors import TableError
from sparklabel.evaluation.calibrate import CalibrationReport, calibrate
from sparklabel.evaluation.evaluate import EvaluationReport, evaluate
from sparklabel.labeling.arguments import EngineArguments, PassArguments
from sparklabel.labeling.label_table import label_table
from sparklabel.labeling.report import PassReport
from sparklabel.labeling.state.tidy import TidyReport, tidy
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.models.references import DEFAULT
from sparklabel.models.shipped_encoder import ENCODER
from sparklabel.table.history import passes
from sparklabel.table.listings import answers, failures
from sparklabel.table.restore import RestoreReport, restore_answers
from sparklabel.table.task_table import check_table
from sparklabel.table.undo import UndoReport, undo_pass
from sparklabel.tasks import Task, check_task
from sparklabel.training.call import LORA
from sparklabel.training.finetune import finetune
from sparklabel.training.processes import CHECKPOINT_MINUTES
from sparklabel.training.report import TrainingReport


@dataclass(frozen=True, slots=True)
class LabeledTable:
    """A table opened for a task. Made by `open_table`; nothing is cached, every method reads the table as it is."""

    spark: SparkSession
    table: str
    task: Task
    key: str | Sequence[str] | None = None
    column: str | None = None
    into: str | None = None

    def label(self, **arguments: Unpack[PassArguments]) -> PassReport:
        """Labels the pending rows. The arguments are those of `label_table`, without what `open_table` was given."""
        check_arguments("label", PassArguments.__annotations__, arguments)
        return label_table(self.spark, self.table, self.task, **self._names, **arguments)

    def dry_run(self, **arguments: Unpack[PassArguments]) -> PassReport:
        """Reports what `label` would do, how long it would take and what it would cost; writes nothing."""
        check_arguments("dry_run", PassArguments.__annotations__, arguments)
        return label_table(self.spark, self.table, self.task, dry_run=True, **self._names, **arguments)

    def finetune(
        self,
        *,
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
        """Fine-tunes `base` on people's answers, as the function `finetune` does."""
        return finetune(
            self.spark,
            self.table,
            self.task,
            **self._names,
            base=base,
            method=method,
            encoder=encoder,
            tune_encoder=tune_encoder,
            hidden_states=hidden_states,
            registered_name=registered_name,
            config=config,
            force=force,
            adopt_examples=adopt_examples,
            num_processes=num_processes,
            min_processes=min_processes,
            use_gpu=use_gpu,
            checkpoints=checkpoints,
            checkpoint_minutes=checkpoint_minutes,
            experiment=experiment,
            progress=progress,
        )

    def evaluate(
        self,
        *,
        gold: str | None = None,
        model: str = DEFAULT,
        engine: str | EngineOptions = "auto",
        adopt_examples: bool = False,
        experiment: str = registry.DEFAULT_EXPERIMENT,
        **options: Unpack[EngineArguments],
    ) -> EvaluationReport:
        """Measures a model on people's held-out answers, or on the column `gold`."""
        names = {} if gold else self._names
        return evaluate(
            self.spark,
            self.table,
            self.task,
            gold=gold,
            model=model,
            engine=engine,
            adopt_examples=adopt_examples,
            experiment=experiment,
            **names,
            **options,
        )

    def calibrate(
        self,
        *,
        model: str | None = None,
        allow_unsafe_store: bool = False,
        experiment: str = registry.DEFAULT_EXPERIMENT,
    ) -> CalibrationReport:
        """Fits a calibrator to people's answers and recomputes the table's confidences."""
        return calibrate(
            self.spark,
            self.table,
            self.task,
            **self._names,
            model=model,
            allow_unsafe_store=allow_unsafe_store,
            experiment=experiment,
        )

    def failures(self) -> DataFrame:
        """The rows that have no answer because something failed."""
        return failures(self.spark, self.table, self.task, **self._names)

    def answers(self) -> DataFrame:
        """The rows that people answered, with what the model had said."""
        return answers(self.spark, self.table, self.task, **self._names)

    def passes(self) -> DataFrame:
        """The passes over the table that wrote this task's labels, newest first."""
        return passes(self.spark, self.into or self.table).where(F.col("task") == self.task.name)

    def tidy(
        self, *, staging: str | None = None, cache: str | None = None, allow_unsafe_store: bool = False
    ) -> TidyReport:
        """Removes what passes left of rows that the table no longer has, of all its tasks."""
        folders = {"into": self.into, "staging": staging, "cache": cache}
        return tidy(self.spark, self.table, **folders, allow_unsafe_store=allow_unsafe_store)

    def undo(self, pass_id: str, *, allow_unsafe_store: bool = False) -> UndoReport:
        """Undoes a pass; human answers are kept."""
        table = self.into or self.table
        return undo_pass(self.spark, table, pass_id, allow_unsafe_store=allow_unsafe_store)

    def restore_answers(
        self, *, from_version: int | None = None, dry_run: bool = False, allow_unsafe_store: bool = False
    ) -> RestoreReport:
        """Puts people's answers back after the table was made anew, which takes labels that are in the table itself."""
        if self.into:
            raise TableError(
                f"The labels are in {self.into}, and stay there when {self.table} is made anew.",
                hint=f"If {self.into} itself was damaged, RESTORE TABLE brings back an older version of it.",
            )
        return restore_answers(
            self.spark,
            self.table,
            self.task,
            column=self.column,
            from_version=from_version,
            dry_run=dry_run,
            allow_unsafe_store=allow_unsafe_store,
        )

    @property
    def _names(self) -> dict[str, Any]:
        return {"key": self.key, "column": self.column, "into": self.into}


def open_table(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    into: str | None = None,
) -> LabeledTable:
    """Opens a table for a task.

    Args:
        spark: A session with Delta, classic or Connect.
        table: The name or the absolute path of a Delta table; with `into`, also of a view.
        task: What to ask about each row.
        key: The column, or columns, that identify each row. Only needed before the first pass: the table remembers it.
        column: The value column, if it is not named as the task.
        into: The table for key and labels, if they should not be in `table` itself.

    Returns:
        A handle with the methods `label`, `dry_run`, `finetune`, `evaluate`, `calibrate`, `failures`, `answers`,
        `passes`, `undo`, `restore_answers` and `tidy`.

    Raises:
        TableError: The table cannot be read.
        KeyColumnError: There is no key, or it is not the one that the table remembers.
        TaskError: `task` is not a task.

    Example:
        >>> tickets = sl.open_table(spark, "support.tickets", intent, key="ticket_id")  # doctest: +SKIP
        >>> print(tickets.label())  # doctest: +SKIP
    """
    check_task(task)
    check_table(spark, table, task, key, into)
    return LabeledTable(spark, table, task, key, column, into)
