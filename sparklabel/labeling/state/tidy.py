"""Erasure: what passes left of rows that a table no longer has.

In: a table, and the folders that passes over it were given. Out: staging and cache without answers to texts that are
gone, and their files deleted. Answers to rows that are still there stay, also those that nobody has merged yet.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import delete_matching, delete_rows
from sparklabel.delta.log_stores import check_stores
from sparklabel.delta.paths import is_absolute_path
from sparklabel.delta.snapshot import TableSnapshot, folder_tables, open_readable, open_snapshot
from sparklabel.errors import TableError
from sparklabel.labeling.state.answer_cache import CACHE
from sparklabel.labeling.state.staging import TODO, staging_folder
from sparklabel.labels.predicates import input_hash_sql
from sparklabel.redaction import printable_lines
from sparklabel.sql import quote
from sparklabel.table.label_columns import recorded_tasks
from sparklabel.table.row_states import HASH

_RETENTION = "delta.deletedFileRetentionDuration"
_TIDYING = "Tidying what passes left"


@dataclass(frozen=True, slots=True, kw_only=True)
class TidyReport:
    """What `tidy` did.

    Attributes:
        staged: Answers to texts that are gone, and texts that earlier releases kept, removed from staging.
        cached: Answers to texts that are gone, removed from the cache.
        tables: The folders that were vacuumed.
        again_at: From when on another call deletes the files of what this one removed; None if all are deleted.
    """

    table: str
    staged: int
    cached: int
    tables: tuple[str, ...]
    again_at: datetime | None

    def __str__(self) -> str:
        if not self.tables:
            return printable_lines(f"{self.table}: passes have left nothing")
        lines = [
            f"{self.table}: {self.staged:,} rows removed from staging, {self.cached:,} from the cache; files of "
            f"{len(self.tables)} tables vacuumed"
        ]
        if self.again_at:
            lines.append(
                f"call again after {self.again_at:%H:%M} (UTC{self.again_at:%z}) to delete their files"
            )
        return printable_lines("\n  ".join(lines))


def tidy(
    spark: SparkSession,
    table: str,
    *,
    into: str | None = None,
    staging: str | None = None,
    cache: str | None = None,
    allow_unsafe_store: bool = False,
) -> TidyReport:
    """Removes what passes left of rows that the table no longer has, and deletes the files.

    Answers in staging and in the cache stay if a row still has their input. The table itself is not changed: delete its
    rows and VACUUM it first. Passes may run meanwhile.

    Args:
        spark: The session.
        table: The labeled table's name or path.
        into: The table that has the labels, if `table` has not.
        staging: The folder that passes were given as `staging=`.
        cache: The folder that passes were given as `cache=`, if they served this table alone: answers to other tables'
            texts would be removed. Without it, the cache inside the table's folder.
        allow_unsafe_store: As for `label_table`.

    Returns:
        What was removed. Files are kept for an hour after their rows were removed, or for the table's own
        `delta.deletedFileRetentionDuration` if that is shorter.

    Raises:
        TableError: The table cannot be read, or a folder is not an absolute path.
        ConflictError: Other writers were first every time.

    Example:
        ```python
        spark.sql("DELETE FROM tickets WHERE customer = 17")
        spark.sql("VACUUM tickets")
        print(sl.tidy(spark, "tickets"))
        ```
    """
    for name, folder in (("staging", staging), ("cache", cache)):
        if folder is not None and not is_absolute_path(folder):
            raise TableError(f"{name}={folder!r} is not an absolute path.")
    source = open_readable(spark, table) if into else open_snapshot(spark, table)
    target = open_snapshot(spark, into) if into else source
    check_stores(spark, allow_unsafe_store, (target.location, staging, cache))
    staged = folder_tables(spark, staging_folder(target.location, staging))
    own_cache = [path for path in staged if path.endswith(f"/{CACHE}")]
    caches = folder_tables(spark, cache, CACHE) if cache else own_cache
    staged = [path for path in staged if path not in own_cache]
    kept = _current_hashes(spark, source, target)
    removed = sum(_remove(spark, path, kept) for path in staged)
    cached = sum(_remove(spark, path, kept) for path in caches)
    wait = [_vacuum(spark, path, target) for path in (*staged, *caches)]
    again = max(wait, default=timedelta()) if removed + cached else timedelta()
    return TidyReport(
        table=table, staged=removed, cached=cached, tables=(*staged, *caches),
        again_at=datetime.now().astimezone() + again if again else None,
    )  # fmt: skip


def _current_hashes(spark: SparkSession, source: TableSnapshot, target: TableSnapshot) -> DataFrame:
    """The hashes (HASH) of what the recorded tasks read of the source's rows, each once."""
    rows = source.read(spark)
    every = {one.inputs for one in recorded_tasks(target).values() if one.inputs}
    known = [inputs for inputs in every if all(source.column(name) for name in inputs)]
    hashes = [
        rows.select(F.expr(input_hash_sql([quote(name) for name in inputs])).alias(HASH)) for inputs in known
    ]
    nothing = spark.createDataFrame([], f"{HASH} STRING")
    return reduce(DataFrame.unionAll, hashes, nothing).distinct()


def _remove(spark: SparkSession, path: str, kept: DataFrame) -> int:
    """Removes rows from one of our tables: all of a table of texts, of others those whose input is not `kept`."""
    sql = f"delta.{quote(path)}"
    if path.endswith(TODO):
        number = spark.sql(f"SELECT * FROM {sql}").count()
        delete_rows(spark, sql, "true", _TIDYING)
        return number
    gone = spark.sql(f"SELECT input_hash FROM {sql} WHERE input_hash IS NOT NULL").distinct()
    gone = gone.join(kept, F.col("input_hash") == F.col(HASH), "left_anti")
    return delete_matching(spark, sql, gone, "t.input_hash = s.input_hash", _TIDYING)


def _vacuum(spark: SparkSession, path: str, target: TableSnapshot) -> timedelta:
    """Deletes the files that are no longer needed; for how long those stay that were removed just now."""
    sql = f"delta.{quote(path)}"
    wanted, wait = target.properties.get(_RETENTION), timedelta(hours=1)
    if wanted and (shorter := _less_than_an_hour(spark, wanted)) is not None:
        wait = shorter
        if open_snapshot(spark, sql).properties.get(_RETENTION) != wanted:
            spark.sql(f"ALTER TABLE {sql} SET TBLPROPERTIES ('{_RETENTION}' = '{wanted}')")
    spark.sql(f"VACUUM {sql}").collect()
    return wait


def _less_than_an_hour(spark: SparkSession, interval: str) -> timedelta | None:
    """The interval as Delta's property has it, if it is shorter than an hour."""
    text = interval.strip().lower().removeprefix("interval ").strip()
    try:
        (found,) = spark.sql(f"SELECT CAST(INTERVAL '{text}' AS INTERVAL DAY TO SECOND)").collect()[0]
    except AnalysisException:  # months and years
        return None
    return found if found < timedelta(hours=1) else None
