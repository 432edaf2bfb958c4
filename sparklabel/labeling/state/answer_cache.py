"""Answers that were given before: in a Delta table beside the labelled one, or in a folder that many tables share.

In: answers that a pass computed. Out: those to the same question, so that no model is asked twice: the same prompt
around the same inputs, model, engine, calibrator and threshold. Failures are not kept. Inputs are kept as hashes only.
It is bounded: the oldest days go.
"""

import hashlib
import json
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import (
    FILES_GO_SOON,
    WRITE_ERRORS,
    delete_rows,
    retry_on_conflict,
    tidying_is_due,
)
from sparklabel.delta.errors import error_message
from sparklabel.delta.snapshot import is_absolute_path, is_table_folder, open_snapshot
from sparklabel.errors import TableError
from sparklabel.labeler import PreparedTask
from sparklabel.labeling.options import StorageOptions
from sparklabel.labeling.state.staging import CACHED, Staging
from sparklabel.labels.record import label_ddl
from sparklabel.labels.status import ANSWERED
from sparklabel.progress import tell
from sparklabel.sql import quote, sql_list, sql_string
from sparklabel.table.row_states import ANSWER, HASH
from sparklabel.tasks import Task
from sparklabel.udf import LabelerSpec

_MOST_ANSWERS, _MOST_DAYS = 5_000_000, 180
_MANY_ANSWERS = _MOST_ANSWERS // 20
"""A pass that keeps more tidies the cache."""
_JSON = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}


@dataclass(slots=True)
class Cache:
    """Answers to one `question` (a hash) in the table at `path`, which holds those to others too. `record` is the SQL
    type of an answer; `task` and `model` are for people who look. `problem` says why it could not be used."""

    path: str
    question: str
    record: str
    task: str
    model: str
    problem: str = ""

    def move_known(self, spark: SparkSession, inputs: DataFrame, staging: Staging) -> int:
        """Stages those to `inputs` (HASH), and says how many there were. A cache that cannot be read has none."""
        try:
            if not is_table_folder(spark, self.path):
                return 0
            known = spark.sql(
                f"SELECT input_hash AS {HASH}, answer, cached_at FROM {self._sql} WHERE question = "
                f"{sql_string(self.question)} AND day >= date_sub(current_date(), {_MOST_DAYS})"
            )
            found = known.join(inputs.select(HASH), HASH).groupBy(HASH)
            newest = found.agg(F.max_by("answer", "cached_at").alias("answer"))
            answers = newest.select(HASH, F.from_json("answer", self.record, _JSON).alias(ANSWER))
            return staging.append(answers, CACHED).answers
        except WRITE_ERRORS as error:
            self._tell(f"the cache {self.path} was not read: {error_message(error)}")
            return 0

    def keep(self, spark: SparkSession, answers: DataFrame, number: int) -> None:
        """Adds `answers` (HASH, ANSWER), about `number` of them. They are in the table already: where the cache takes
        none, that is told, and the pass goes on."""
        try:
            self._append(spark, answers.sample(_MOST_ANSWERS / number) if number > _MOST_ANSWERS else answers)
            if number > _MANY_ANSWERS or tidying_is_due(spark, self._sql, commits=1):
                tidy(spark, self._sql)
                spark.sql(f"VACUUM {self._sql}").collect()
        except WRITE_ERRORS as error:
            self._tell(f"answers were not kept in the cache {self.path}: {error_message(error)}")

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
            F.to_json(ANSWER, _JSON).alias("answer"), F.current_timestamp().alias("cached_at"),
        )  # fmt: skip
        create = (
            f"CREATE TABLE IF NOT EXISTS {self._sql} (question STRING, day DATE, task STRING, model STRING, input_hash "
            "STRING, answer STRING, cached_at TIMESTAMP) USING DELTA PARTITIONED BY (question, day) "
            f"{FILES_GO_SOON}"
        )
        retry_on_conflict(lambda: spark.sql(create), "Making the cache")
        writer = good.write.format("delta").mode("append")
        retry_on_conflict(lambda: writer.save(self.path), "Keeping answers in the cache")


def open_cache(
    storage: StorageOptions, location: str, spec: LabelerSpec, question: PreparedTask
) -> Cache | None:
    """That of a pass over the table at `location`. Nothing is read or made yet."""
    if storage.cache is False:
        return None
    asked = [
        question.template.to_dict(), question.label_ids, spec.task.fingerprint, spec.decision, spec.model.identity,
        spec.engine.name, spec.engine.options,
    ]  # fmt: skip
    content = hashlib.sha256(json.dumps(asked, default=str).encode()).hexdigest()[:32]
    record = label_ddl(spec.task.value_type)
    # Who names another folder for staging does so because the table's is not to be written.
    root = storage.staging if storage.cache is True and storage.staging else storage.cache
    return Cache(_path(root, location), content, record, spec.task.name, spec.model.identity)


def cache_summary(spark: SparkSession, table: str) -> DataFrame:
    """What is in the cache of a table, or in the folder that was given as `cache=`: a row for each question, with task,
    model, how many `answers`, and when the first and the last were kept. Raises TableError where there is none."""
    found = spark.sql(f"SELECT * FROM {_existing(spark, table)}").groupBy("question", "task", "model")
    return found.agg(
        F.count(F.lit(1)).alias("answers"), F.min("cached_at").alias("first"), F.max("cached_at").alias("last")
    ).orderBy(F.desc("last"), "question")  # fmt: skip


def clear_cache(spark: SparkSession, table: str, task: Task | str | None = None) -> int:
    """Forgets the answers in the cache of a table, or in the folder that was given as `cache=`; those of one task where
    it, or its name, is given. How many there were. Labels in tables stay; files of the cache that were removed more
    than an hour ago go for good. Raises TableError where there is no cache, or no answer to such a task."""
    sql = _existing(spark, table)
    name = task.name if isinstance(task, Task) else task
    kept = spark.sql(f"SELECT task, count(*) AS answers FROM {sql} GROUP BY task ORDER BY task").collect()
    answers = {row["task"]: row["answers"] for row in kept}
    if name is not None and name not in answers:
        raise TableError(
            f"The cache of {table} has no answers to the task {name!r}.",
            hint=f"It has those to: {', '.join(answers) or 'none'}.",
        )
    where = "true" if name is None else f"task = {sql_string(name)}"
    number = sum(answers.values()) if name is None else answers[name]
    delete_rows(spark, sql, where, "Clearing the cache")
    spark.sql(f"VACUUM {sql}").collect()
    return int(number)


def _existing(spark: SparkSession, table: str) -> str:
    path = _path(table, "") if is_absolute_path(table) else ""
    if not (path and is_table_folder(spark, path)):
        path = _path(True, open_snapshot(spark, table).location)
        if not is_table_folder(spark, path):
            raise TableError(
                f"{table} has no cache yet.", hint="A pass makes one, unless it is told cache=False."
            )
    return f"delta.{quote(path)}"


def _path(root: str | bool, location: str) -> str:
    folder = f"{location.rstrip('/')}/_sparklabel" if isinstance(root, bool) else root.rstrip("/")
    return f"{folder}/cache"


def tidy(spark: SparkSession, sql: str, most: int = _MOST_ANSWERS) -> None:
    """Forgets whole days, the oldest first, until `most` answers are left or one day, and makes few files of many."""
    days = spark.sql(f"SELECT day, count(*) AS answers FROM {sql} GROUP BY day ORDER BY day DESC").collect()
    kept, old = 0, f"day < date_sub(current_date(), {_MOST_DAYS})"
    for newer, row in zip((None, *days), days, strict=False):
        kept += row["answers"]
        if newer and kept > most:
            old += f" OR day < DATE'{newer['day']}'"
            break
    delete_rows(spark, sql, old, "Tidying the cache")
    retry_on_conflict(lambda: spark.sql(f"OPTIMIZE {sql}").collect(), "Tidying the cache")
