"""Erasure: what passes left of rows that a table no longer has.

In: a table, and the folders that passes over it were given. Out: staging and cache without answers to texts that are
gone, and their files deleted. Answers to rows that are still there stay, also those that nobody has merged yet.
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.commits import delete_matching, delete_rows
from sparklabel.delta.kept_rows import keep
from sparklabel.delta.log_stores import check_stores
from sparklabel.delta.paths import is_absolute_path
from sparklabel.delta.snapshot import (
    TableSnapshot,
    folder_tables,
    newest_version,
    open_readable,
    open_snapshot,
)
from sparklabel.errors import TableError
from sparklabel.labeling.state.answer_cache import CACHE
from sparklabel.labeling.state.lease import unfinished_passes
from sparklabel.labeling.state.staging import TODO, staging_folder
from sparklabel.labels.predicates import input_hash_sql
from sparklabel.redaction import printable_lines
from sparklabel.sql import quote, sql_list, sql_string
from sparklabel.table.recorded_tasks import recorded_tasks
from sparklabel.table.row_states import HASH

_RETENTION = "delta.deletedFileRetentionDuration"
_OWN_RETENTION = timedelta(hours=1)
"""Of `STATE_PROPERTIES`."""
_TIDYING = "Tidying what passes left"
_REMOVING = ("DELETE", "MERGE", "OPTIMIZE")
"""The operations of ours that take files out of a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TidyReport:
    """What `tidy` did.

    Attributes:
        staged: Answers to texts that are gone, their features, and texts that earlier releases kept, removed from
            staging.
        cached: Answers to texts that are gone, removed from the cache.
        tables: The folders that were vacuumed.
        again_at: From when on another call deletes the files of all that was removed; None if all are deleted.
        left: The tasks whose answers were left alone: the table does not say what they read, or lacks a column of it.
    """

    table: str
    staged: int
    cached: int
    tables: tuple[str, ...]
    again_at: datetime | None
    left: tuple[str, ...] = ()

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
        if self.left:
            lines.append(
                f"left alone: answers to {', '.join(self.left)}, because the table does not say which columns they "
                "were made from, or lacks one of them; label with the task as it is now, then call again"
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
        `delta.deletedFileRetentionDuration` if that is shorter and no pass runs over the table, which may read them.

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
    location = open_snapshot(spark, into or table).location
    check_stores(spark, allow_unsafe_store, (location, staging, cache))
    own = folder_tables(spark, staging_folder(location))  # features are there wherever staging is
    staged = [*own, *(folder_tables(spark, staging_folder(location, staging)) if staging else ())]
    own_cache = [path for path in staged if path.endswith(f"/{CACHE}")]
    caches = folder_tables(spark, cache, CACHE) if cache else own_cache
    staged = [path for path in staged if path not in own_cache]
    # Before the source is opened: what passes stage from here on may answer rows that come later.
    versions = {path: newest_version(spark, f"delta.{quote(path)}") for path in (*staged, *caches)}
    source = open_readable(spark, table) if into else open_snapshot(spark, table)
    target = open_snapshot(spark, into) if into else source
    left = _unknown_inputs(source, target)
    known = [path for path in staged if not _is_staging_of(path, left.values())]
    with ExitStack() as stack:
        kept = keep(_current_hashes(spark, source, target, left), stack)
        removed = sum(_remove(spark, path, versions[path], kept) for path in known)
        cached = sum(_remove(spark, path, versions[path], kept, left) for path in caches)
    wait, retention = _retention(spark, target)
    if retention and any(_is_in_use(spark, path) for path in staged):
        wait, retention = _OWN_RETENTION, ""
    again = [_vacuum(spark, path, wait, retention) for path in (*staged, *caches)]
    return TidyReport(
        table=table, staged=removed, cached=cached, tables=(*staged, *caches),
        again_at=max((at for at in again if at), default=None), left=tuple(left),
    )  # fmt: skip


def _unknown_inputs(source: TableSnapshot, target: TableSnapshot) -> dict[str, str]:
    """The recorded tasks, with their columns, of which nobody can tell whose rows are gone: an earlier release did not
    note what they read, or a column was renamed since."""
    return {
        name: one.column
        for name, one in recorded_tasks(target).items()
        if not (one.inputs and all(source.column(column) for column in one.inputs))
    }


def _is_staging_of(path: str, columns: Collection[str]) -> bool:
    """Whether the table holds the answers for one of the columns. Texts are nobody's: they go in any case."""
    staged = path.rpartition("/")[2].rpartition("-")[0].lower()
    return staged in {f"{column}_label".lower() for column in columns}


def _current_hashes(
    spark: SparkSession, source: TableSnapshot, target: TableSnapshot, left: Collection[str]
) -> DataFrame:
    """The hashes (HASH) of what the recorded tasks, but for those in `left`, read of the source's rows, each once."""
    rows = source.read(spark)
    known = {one.inputs for name, one in recorded_tasks(target).items() if name not in left}
    hashes = [
        rows.select(F.expr(input_hash_sql([quote(name) for name in inputs])).alias(HASH)) for inputs in known
    ]
    nothing = spark.createDataFrame([], f"{HASH} STRING")
    return reduce(DataFrame.unionAll, hashes, nothing).distinct()


def _remove(spark: SparkSession, path: str, version: int, kept: DataFrame, left: Collection[str] = ()) -> int:
    """Removes rows from one of our tables: all of a table of texts, of others those whose input is not `kept`, if the
    table had it at the `version`. Of a cache, answers to the tasks in `left` stay."""
    sql = f"delta.{quote(path)}"
    if path.endswith(TODO):
        number = spark.sql(f"SELECT * FROM {sql}").count()
        delete_rows(spark, sql, "true", _TIDYING)
        return number
    rest = f" AND coalesce(t.task NOT IN ({sql_list(tuple(left))}), true)" if left else ""
    then = f"SELECT input_hash FROM {sql} VERSION AS OF {version} t WHERE input_hash IS NOT NULL{rest}"
    gone = spark.sql(then).distinct().join(kept, F.col("input_hash") == F.col(HASH), "left_anti")
    return delete_matching(spark, sql, gone, f"t.input_hash = s.input_hash{rest}", _TIDYING)


def _is_in_use(spark: SparkSession, path: str) -> bool:
    """Whether a pass may be reading what is removed here."""
    sql = f"delta.{quote(path)}"
    return open_snapshot(spark, sql).column("lease") is not None and bool(unfinished_passes(spark, sql))


def _vacuum(spark: SparkSession, path: str, wait: timedelta, retention: str) -> datetime | None:
    """Deletes the files that are no longer needed; from when on the last of them can go, None if they are gone.
    `retention` is the property to do it with, if not the table's own."""
    sql = f"delta.{quote(path)}"
    removed, now = _last_removal(spark, sql), datetime.now().astimezone()
    with _retained(spark, sql, retention) if retention else nullcontext():
        spark.sql(f"VACUUM {sql}").collect()
    return removed + wait if removed and removed + wait > now else None


@contextmanager
def _retained(spark: SparkSession, sql: str, retention: str) -> Iterator[None]:
    """The table has this retention inside the block, and then its own again, on which passes rely."""
    own = open_snapshot(spark, sql).properties.get(_RETENTION, "interval 1 hour")
    try:
        _set_retention(spark, sql, retention)
        yield
    finally:
        _set_retention(spark, sql, own)


def _set_retention(spark: SparkSession, sql: str, retention: str) -> None:
    spark.sql(f"ALTER TABLE {sql} SET TBLPROPERTIES ({sql_string(_RETENTION)} = {sql_string(retention)})")


def _last_removal(spark: SparkSession, sql: str) -> datetime | None:
    """When the last commit that took files out of the table was made, whether this call's, an earlier one's or a
    pass's."""
    files = "coalesce(operationMetrics['numRemovedFiles'], operationMetrics['numTargetFilesRemoved'], '1')"
    removals = spark.sql(f"DESCRIBE HISTORY {sql}").where(
        f"operation IN ({sql_list(_REMOVING)}) AND {files} <> '0'"
    )
    (newest,) = removals.selectExpr("max(unix_millis(timestamp))").collect()[0]
    return None if newest is None else datetime.fromtimestamp(newest / 1000, UTC).astimezone()


def _retention(spark: SparkSession, target: TableSnapshot) -> tuple[timedelta, str]:
    """How long removed files stay: an hour, as our tables have it; or, with its property, what the labeled table has,
    if that is shorter."""
    ours, wanted = _OWN_RETENTION, target.properties.get(_RETENTION, "")
    text = wanted.strip().lower().removeprefix("interval ").strip()
    try:
        query = f"SELECT CAST(INTERVAL {sql_string(text)} AS INTERVAL DAY TO SECOND)"
        found = spark.sql(query).collect()[0][0] if text else ours
    except AnalysisException:  # months and years
        return ours, ""
    return (found, wanted) if found < ours else (ours, "")
