"""The answer cache: a Delta table beside the labeled one, or in a folder that many tables share.

In: answers that a pass computed. Out: answers to the same question, so that no model is asked twice: the same prompt
around the same inputs, model, engine, calibrator and threshold. Failures are not kept, inputs only as hashes. Its size
is bounded: the oldest days are removed.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import (
    STATE_PROPERTIES,
    WRITE_ERRORS,
    create_table,
    delete_rows,
    retry_on_conflict,
    tidying_is_due,
)
from sparklabel.delta.errors import error_message
from sparklabel.delta.log_stores import check_stores
from sparklabel.delta.paths import is_absolute_path
from sparklabel.delta.session import check_session
from sparklabel.delta.snapshot import is_table_folder, open_snapshot
from sparklabel.errors import TableError
from sparklabel.labeler import PreparedTask
from sparklabel.labeling.options import StorageOptions
from sparklabel.labeling.state.staging import CACHED, Staging, staging_folder
from sparklabel.labels.record import label_ddl
from sparklabel.labels.status import ANSWERED
from sparklabel.progress import tell
from sparklabel.sql import quote, sql_list, sql_string
from sparklabel.table.row_states import ANSWER, HASH
from sparklabel.tasks import Task
from sparklabel.udf import LabelerSpec

CACHE = "cache"
_MAX_ANSWERS, _MAX_DAYS = 5_000_000, 180
_MANY_ANSWERS = _MAX_ANSWERS // 20
"""A pass that adds more than this looks whether the cache is full: Delta counts rows without reading them."""
_JSON = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}


def write_answer(answer: str) -> Column:
    """A column of label records as JSON: a cache holds the records of all kinds of tasks."""
    return F.to_json(answer, _JSON)


def read_answer(text: str, record: str) -> Column:
    """What `write_answer` wrote, as a record of the SQL type `record`."""
    return F.from_json(text, record, _JSON)


@dataclass(slots=True)
class Cache:
    """Answers to one `question` (a hash) in the table at `path`, which holds answers to other questions, too.

    `record` is the SQL type of an answer; `task` and `model` are for people who inspect it; `problem` says why it was
    not usable."""

    path: str
    question: str
    record: str
    task: str
    model: str
    problem: str = ""

    def move_known(self, spark: SparkSession, inputs: DataFrame, staging: Staging) -> int:
        """Stages the answers to `inputs` (HASH), and returns how many there were: 0 if the cache cannot be read."""
        try:
            if not is_table_folder(spark, self.path):
                return 0
            known = spark.sql(
                f"SELECT input_hash AS {HASH}, answer, cached_at FROM {self._sql} WHERE question = "
                f"{sql_string(self.question)} AND day >= date_sub(curdate(), {_MAX_DAYS})"
            )
            found = known.join(inputs.select(HASH), HASH).groupBy(HASH)
            newest = found.agg(F.max_by("answer", "cached_at").alias("answer"))
            answers = newest.select(HASH, read_answer("answer", self.record).alias(ANSWER))
            return staging.append(answers, CACHED).answers
        except WRITE_ERRORS as error:
            self._tell(f"the cache {self.path} could not be read: {error_message(error)}")
            return 0

    def keep(self, spark: SparkSession, answers: DataFrame, number: int) -> None:
        """Adds `answers` (HASH, ANSWER), about `number` of them. They are in the table already: if the cache cannot be
        written, the report says so, and the pass continues."""
        try:
            self._append(spark, answers.sample(_MAX_ANSWERS / number) if number > _MAX_ANSWERS else answers)
            is_full = (
                number > _MANY_ANSWERS and spark.sql(f"SELECT * FROM {self._sql}").count() > _MAX_ANSWERS
            )
            if is_full or tidying_is_due(spark, self._sql, commits=1):
                trim(spark, self._sql)
                spark.sql(f"VACUUM {self._sql}").collect()
        except WRITE_ERRORS as error:
            self._tell(f"answers could not be added to the cache {self.path}: {error_message(error)}")

    def _tell(self, problem: str) -> None:
        self.problem = problem
        tell(problem)

    @property
    def _sql(self) -> str:
        return f"delta.{quote(self.path)}"

    def _append(self, spark: SparkSession, answers: DataFrame) -> None:
        good = answers.where(f"{ANSWER}.status IN ({sql_list(ANSWERED)})").select(
            F.lit(self.question).alias("question"), F.current_date().alias("day"), F.lit(self.task).alias("task"),
            F.lit(self.model).alias("model"), F.col(HASH).alias("input_hash"),
            write_answer(ANSWER).alias("answer"), F.current_timestamp().alias("cached_at"),
        )  # fmt: skip
        columns = (
            "question STRING, day DATE, task STRING, model STRING, input_hash STRING, answer STRING, "
            "cached_at TIMESTAMP_LTZ"
        )
        create_table(spark, self._sql, columns, STATE_PROPERTIES, "Making the cache", ["question", "day"])
        writer = good.write.format("delta").mode("append")
        retry_on_conflict(lambda: writer.save(self.path), "Keeping answers in the cache")


def open_cache(
    storage: StorageOptions, location: str, spec: LabelerSpec, questions: Sequence[PreparedTask]
) -> Cache | None:
    """The cache of a pass over the table at `location`; None without one. Reads and creates nothing yet."""
    if storage.cache is False:
        return None
    asked: list[Any] = []
    for one, question in zip(spec.in_turn, questions, strict=True):
        asked += [
            question.template and question.template.to_dict(), question.label_ids, one.task.fingerprint, one.decision,
            one.model.identity, one.engine.name, one.engine.options,
        ]  # fmt: skip
    content = hashlib.sha256(json.dumps(asked, default=str).encode()).hexdigest()[:32]
    record = label_ddl(spec.task.value_type)
    # If staging has another folder, the table's own should not be written.
    root = storage.staging if storage.cache is True and storage.staging else storage.cache
    return Cache(_path(root, location), content, record, spec.task.name, spec.name)


def cache_summary(spark: SparkSession, table: str) -> DataFrame:
    """What is in the cache of a table, or of the folder that was given as `cache=`.

    Returns:
        One row per question: its task and model, how many `answers` there are, and when the `first` and the `last` one
        was added.

    Raises:
        TableError: There is no cache.
    """
    check_session(spark)
    found = spark.sql(f"SELECT * FROM delta.{quote(_existing(spark, table))}").groupBy(
        "question", "task", "model"
    )
    return found.agg(
        F.count(F.lit(1)).alias("answers"), F.min("cached_at").alias("first"), F.max("cached_at").alias("last")
    ).orderBy(F.desc("last"), "question")  # fmt: skip


def clear_cache(
    spark: SparkSession, table: str, task: Task | str | None = None, *, allow_unsafe_store: bool = False
) -> int:
    """Removes the answers in the cache of a table, or of the folder that was given as `cache=`. Labels in tables stay.

    Args:
        task: A task, or its name, whose answers to remove; None for all.
        allow_unsafe_store: As for `label_table`.

    Returns:
        How many answers were removed. Their files are deleted by the first call an hour later or more.

    Raises:
        TableError: There is no cache, or it has no answers to that task; or Delta could lose commits where it is.
    """
    path = _existing(spark, table)
    check_stores(spark, allow_unsafe_store, [path])
    sql = f"delta.{quote(path)}"
    name = task.name if isinstance(task, Task) else task
    kept = spark.sql(f"SELECT task, count(*) AS answers FROM {sql} GROUP BY task ORDER BY task").collect()
    answers = {row["task"]: row["answers"] for row in kept}
    if name is not None and name not in answers:
        raise TableError(
            f"The cache of {table} has no answers to the task {name!r}.",
            hint=f"It has answers to: {', '.join(answers) or 'none'}.",
        )
    where = "true" if name is None else f"task = {sql_string(name)}"
    number = sum(answers.values()) if name is None else answers[name]
    delete_rows(spark, sql, where, "Clearing the cache")
    spark.sql(f"VACUUM {sql}").collect()
    return int(number)


def _existing(spark: SparkSession, table: str) -> str:
    """The cache's own folder. Raises TableError."""
    path = _path(table, "") if is_absolute_path(table) else ""
    if not (path and is_table_folder(spark, path)):
        path = _path(True, open_snapshot(spark, table).location)
        if not is_table_folder(spark, path):
            raise TableError(
                f"{table} has no cache yet.", hint="A staged pass creates one, unless it has cache=False."
            )
    return path


def _path(root: str | bool, location: str) -> str:
    folder = staging_folder(location) if isinstance(root, bool) else root.rstrip("/")
    return f"{folder}/{CACHE}"


def trim(spark: SparkSession, sql: str, most: int = _MAX_ANSWERS) -> None:
    """Removes whole days, the oldest first, until `most` answers or one day are left; then compacts the files."""
    days = spark.sql(f"SELECT day, count(*) AS answers FROM {sql} GROUP BY day ORDER BY day DESC").collect()
    kept, old = 0, f"day < date_sub(curdate(), {_MAX_DAYS})"
    for newer, row in zip((None, *days), days, strict=False):
        kept += row["answers"]
        if newer and kept > most:
            old += f" OR day < DATE'{newer['day']}'"
            break
    delete_rows(spark, sql, old, "Tidying the cache")
    retry_on_conflict(lambda: spark.sql(f"OPTIMIZE {sql}").collect(), "Tidying the cache")
