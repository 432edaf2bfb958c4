"""The Spark side of a review: rows to ask, the answers table, the labels.

In: a session, and what is reviewed, as the journal has it. Out: rows, and what was written. It keeps no answers: those
are in the journal until they are in the answers table, and from that alone the labels are made. So it may die at any
point, and another one goes on. One thread at a time uses it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

from sparklabel.delta.errors import error_message, spark_errors, storage_refusal
from sparklabel.delta.log_stores import check_stores
from sparklabel.delta.snapshot import UNVERSIONED, folder_of
from sparklabel.errors import TableError
from sparklabel.labeling.state.features import FeatureTable
from sparklabel.reviewing.insight.quality import JudgedLabel
from sparklabel.reviewing.records import Event, ReviewRow
from sparklabel.reviewing.resolve import by_input
from sparklabel.reviewing.review_call import answers_name
from sparklabel.reviewing.table.answers_table import (
    AnswersTable,
    check_can_be_made,
    new_answers,
    open_answers,
)
from sparklabel.reviewing.table.judged_rows import judged_labels
from sparklabel.reviewing.table.label_decisions import Verdict
from sparklabel.reviewing.table.label_merge import Merged, merge_labels
from sparklabel.reviewing.table.sampling import current_rows, sample_rows
from sparklabel.sql import sql_string
from sparklabel.table.draw import hash_frame
from sparklabel.table.key import check_unique
from sparklabel.table.task_table import TaskTable, open_task_tables
from sparklabel.tasks import Task, task_from_dict

_TWICE = "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW"


class TableWorker:
    """The table of a review. It opens nothing yet.

    Args:
        spark: Any session that has Delta.
        about: What `Journal.about` holds: `table`, `tasks` as dicts, and if there are such `key`, `column`, `into` and
            `answers`.
        journal_id: Names the journal in the answers table.
    """

    def __init__(self, spark: SparkSession, about: Mapping[str, Any], journal_id: str) -> None:
        self._spark, self._about, self._journal = spark, about, journal_id
        self._tasks = {task.name: task for task in map(task_from_dict, about["tasks"])}
        self._tables: dict[str, TaskTable] = {}
        self._answers: dict[str, AnswersTable] = {}

    def check(self) -> None:
        """Finds the table, and checks everything that the tasks need of it, and their answers tables.

        Raises:
            TaskError, TableError, ColumnError or KeyColumnError.
        """
        spark, about, tasks = self._spark, self._about, list(self._tasks.values())
        key, into = about.get("key"), about.get("into")
        key = tuple(key) if isinstance(key, list) else key
        opened = open_task_tables(
            spark, about["table"], tasks, key, about.get("column"), into=into, writes=True
        )
        for task in tasks:
            if open_answers(spark, self._name(task), task) is None:
                check_can_be_made(spark, self._name(task))
        written = opened[0].target.location or folder_of(into or "")
        check_stores(spark, False, [written, *(folder_of(self._name(task)) for task in tasks)])
        self._tables = {task.name: table for task, table in zip(tasks, opened, strict=True)}

    def load(self, task: str, rows: int, where: str | None = None) -> list[ReviewRow]:
        """The rows to ask (`sampling.sample_rows`). Raises TableError for a wrong `where`, and if the table has
        changed so that it cannot be read."""
        with self._errors("Reading rows"):
            return sample_rows(self._spark, self._newest(task), self._tasks[task], rows, where)

    def current(self, task: str, hashes: Sequence[str]) -> dict[str, ReviewRow]:
        """The rows that have these inputs now, by hash. Those whose rows are gone, or have another text, are absent."""
        with self._errors("Reading rows"):
            return current_rows(self._spark, self._newest(task), self._tasks[task], hashes)

    def hidden_states_model(self, task: str) -> str:
        """The identity of the model whose hidden states of rows a pass has kept last; empty if none has."""
        with self._errors("Reading features"):
            return self._features(task).model(self._spark)

    def hidden_states(self, task: str, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """The kept states of these inputs, by hash, of those that have any (`FeatureTable.read`)."""
        with self._errors("Reading features"):
            return self._features(task).read(self._spark, model, hashes)

    def append(self, task: str, events: Sequence[Event]) -> int:
        """Appends to the answers table the events that it does not have, and makes it if it is missing.

        Args:
            events: The journal's events of the task, in order, and all of them that come after the newest one there.

        Returns:
            The number of the journal's newest event in the table.
        """
        with self._errors("Appending answers"):
            known = self._answers.get(task)
            table = known or self._made(task)
            last = table.last_seq(self._spark, self._journal)
            if not (new := [event for event in events if event.seq > last and event.task == task]):
                return last
            table.append(self._spark, new, self._journal)
            self._answers[task] = table
            return new[-1].seq

    def merge(self, task: str, hashes: Sequence[str] | None = None) -> Merged:
        """Makes labels what people said, as the answers table has it. The same call again changes nothing.

        Args:
            hashes: The inputs; None: all that this journal has events of.
        """
        with self._errors("Writing answers"):
            table = self._answers_table(task)
            if table is None or (hashes is not None and not hashes):
                return Merged()
            found = by_input(self._events(table, hashes))
            accepts = self._tasks[task].answer_mode.accepts
            verdicts = {name: Verdict.of(events, accepts) for name, events in found.items()}
            return merge_labels(self._spark, self._opened(task), self._tasks[task], verdicts, self._journal)

    def past(self, task: str) -> list[Event]:
        """All events of the answers table, of all journals, in the order in which they count."""
        with self._errors("Reading answers"):
            table = self._answers_table(task)
            return table.events(self._spark) if table else []

    def judged(self, task: str) -> list[JudgedLabel]:
        """The rows that people answered, each with what the model had said (`judged_rows.judged_labels`)."""
        with self._errors("Reading rows"):
            return judged_labels(self._spark, self._newest(task), self._tasks[task])

    def _events(self, table: AnswersTable, hashes: Sequence[str] | None) -> list[Event]:
        if hashes is not None:
            return table.events(self._spark, hash_frame(self._spark, hashes, "input_hash"))
        own = f"SELECT DISTINCT input_hash FROM {table.sql} WHERE journal = {sql_string(self._journal)}"
        return table.events(self._spark, self._spark.sql(own))

    def _name(self, task: Task) -> str:
        return answers_name({"answers": None, **self._about}, task.name)

    def _opened(self, task: str) -> TaskTable:
        if not self._tables:
            self.check()
        return self._tables[task]

    def _newest(self, task: str) -> TaskTable:
        return self._opened(task).newest(self._spark, self._tasks[task])

    def _answers_table(self, task: str) -> AnswersTable | None:
        """The answers table; None before the first answer."""
        known = self._answers.get(task)
        return known or open_answers(self._spark, self._name(self._tasks[task]), self._tasks[task])

    def _features(self, task: str) -> FeatureTable:
        return FeatureTable.of(self._opened(task), self._tasks[task])

    def _made(self, task: str) -> AnswersTable:
        """The answers table, which is made if it is missing."""
        opened, definition = self._opened(task), self._tasks[task]
        found = self._answers_table(task)
        table = found or new_answers(self._name(definition), definition, opened.source, opened.keys)
        return table.made(self._spark)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Raises TableError for what Spark raises, and opens everything anew at the next call."""
        try:
            yield
        except BaseException as error:
            self._answers.clear()
            if not isinstance(error, spark_errors()):
                raise
            if _TWICE in str(error):
                self._check_key()
            raise TableError(
                f"{what} of {self._about['table']} failed: {storage_refusal(error) or error_message(error)}",
                hint="No answer is lost: those that are not in the table are in the journal.",
            ) from error

    def _check_key(self) -> None:
        """Raises KeyColumnError, with examples, if the table's key has become ambiguous."""
        for table in self._tables.values():
            check_unique(table.source.read(self._spark), table.source.name, table.keys)
            if table.target.version != UNVERSIONED:
                table.check_one_label_each(self._spark)
