"""Delta tables at a pinned version: found by name or path, read, and checked for columns. A view, which has no
versions, serves where rows are only read.

In: a table's name or path. Out: a `TableSnapshot`. Reads only.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.types import StructType

from sparklabel.delta.errors import error_message, spark_errors
from sparklabel.delta.paths import is_absolute, local_as_path
from sparklabel.delta.session import catalog_hint, check_session, query_errors_unprinted, require_delta
from sparklabel.errors import ColumnError, TableError
from sparklabel.sql import quote

UNVERSIONED = -1
DELETION_VECTORS = "delta.enableDeletionVectors"


@dataclass(frozen=True, slots=True)
class TableSnapshot:
    """A Delta table at a pinned version.

    Attributes:
        name: What the user wrote.
        sql: The table as named in SQL.
        version: `UNVERSIONED` for a view, and for a table that does not exist yet.
        id: Delta's own of the table: another one if it was dropped and made anew at the same place.
    """

    name: str
    sql: str
    location: str
    version: int
    schema: StructType
    properties: Mapping[str, str]
    bytes: int = 0
    id: str = ""

    @property
    def has_deletion_vectors(self) -> bool:
        """Whether changing few rows leaves the files of the others alone."""
        return self.properties.get(DELETION_VECTORS, "false").lower() == "true"

    def read(self, spark: SparkSession) -> DataFrame:
        """All rows of the pinned version; for a view, the rows at the time they are read."""
        pinned = "" if self.version == UNVERSIONED else f" VERSION AS OF {self.version}"
        return spark.sql(f"SELECT * FROM {self.sql}{pinned}")

    def newest_version(self, spark: SparkSession) -> int:
        """The version of the table as it is now."""
        return newest_version(spark, self.sql)

    def column(self, name: str) -> str | None:
        """The table's spelling of a column, found regardless of case, as in SQL; None if it has no such column."""
        return next((c for c in self.schema.fieldNames() if c.lower() == name.lower()), None)


_NO_SUCH_VERSION = 2**62


def newest_version(spark: SparkSession, sql: str) -> int:
    """The newest version of a Delta table, named as in SQL."""
    # Delta's refusal of a version that cannot exist names the newest one: one SQL execution, where DESCRIBE HISTORY
    # takes four. It is the fallback for a Delta that words its refusal otherwise.
    try:
        with query_errors_unprinted():
            _ = spark.sql(f"SELECT * FROM {sql} VERSION AS OF {_NO_SUCH_VERSION}").schema
    except AnalysisException as error:
        if error.getCondition() == "DELTA_VERSION_NOT_FOUND":
            newest = (error.getMessageParameters() or {}).get("latest", "")
            if newest.isdecimal():
                return int(newest)
    return int(spark.sql(f"DESCRIBE HISTORY {sql} LIMIT 1").collect()[0]["version"])


def open_snapshot(spark: SparkSession, table: str, otherwise: str = "") -> TableSnapshot:
    """Finds a table by name (`db.tickets`) or path (anything with a slash).

    Raises:
        TableError: It is not a Delta table that can be read. Its hint ends with `otherwise`.
    """
    check_session(spark)
    sql = table_sql(table)
    try:
        detail = _detail(spark, sql)
        if detail["format"] != "delta":
            raise TableError(
                f"{table} is a {detail['format']} table, not a Delta table.",
                hint=f"Convert it first: CONVERT TO DELTA {sql}",
            )
        version = newest_version(spark, sql)
        schema = spark.sql(f"SELECT * FROM {sql} VERSION AS OF {version}").schema
    except spark_errors() as error:
        require_delta(spark)
        if not isinstance(error, AnalysisException | ParseException):
            raise
        hints = ["Give the name of a Delta table (catalog.schema.table) or its path.", otherwise]
        if error.getCondition() == "TABLE_OR_VIEW_NOT_FOUND":
            hints.append(catalog_hint(spark))
        raise TableError(
            f"{table} is not a Delta table that can be read: {error_message(error)}",
            hint=" ".join(filter(None, hints)),
        ) from None
    return TableSnapshot(
        table, sql, detail["location"], version, schema, detail["properties"] or {}, detail["sizeInBytes"] or 0,
        detail["id"] or "",
    )  # fmt: skip


def open_readable(spark: SparkSession, name: str) -> TableSnapshot:
    """Opens what is only read: a Delta table at its newest version, or anything else that SQL can read. Raises
    TableError."""
    require_delta(spark)
    sql = table_sql(name)
    if is_delta(spark, sql):
        return open_snapshot(spark, name)
    try:
        return TableSnapshot(name, sql, "", UNVERSIONED, spark.sql(f"SELECT * FROM {sql}").schema, {})
    except (AnalysisException, ParseException) as error:
        raise TableError(
            f"{name} is neither a table nor a view that can be read: {error_message(error)}"
        ) from None


def _detail(spark: SparkSession, sql: str) -> Row:
    """What Delta says of a table. Raises TableError where the session cannot reach its file system."""
    with _reached(folder_of(sql) or sql):
        return spark.sql(f"DESCRIBE DETAIL {sql}").collect()[0]


_FILE_SYSTEM_ERROR = re.compile(
    r"\(?(?:org\.apache\.hadoop\.(?:fs|security)|java\.nio\.file|java\.net|java\.io)\.[\w.]*Exception\b"
)


@contextmanager
def _reached(folder: str) -> Iterator[None]:
    """Raises TableError where the session has no file system for the folder, or where that refuses: no such bucket or
    host, no permission."""
    try:
        yield
    except spark_errors() as error:
        if scheme := re.search(r'No FileSystem for scheme "([^"]+)"', str(error)):
            raise TableError(
                f"{folder} cannot be read: this Spark session has no file system for {scheme[1]}://.",
                hint="Add its connector to the session (for Amazon S3: s3a:// and the package hadoop-aws).",
            ) from None
        if _FILE_SYSTEM_ERROR.match(said := error_message(error)):
            raise TableError(
                f"{folder} cannot be read: {said}",
                hint="Check the address, and the credentials that the session has for this file system.",
            ) from None
        raise


def is_delta(spark: SparkSession, sql: str) -> bool:
    """Whether a Delta table of this name or path, as in SQL, exists."""
    try:
        return bool(_detail(spark, sql)["format"] == "delta")
    except (AnalysisException, ParseException):
        return False


_PATTERN = re.compile(r"[\[\]{}*?\\]")
"""What Spark takes for a pattern in the path of a folder."""


def is_table_folder(spark: SparkSession, path: str) -> bool:
    """Whether the folder is a Delta table's."""
    if _PATTERN.search(path):
        folder, _, name = path.rstrip("/").rpartition("/")
        with _reached(path):
            return bool(folder_tables(spark, folder, name))
    try:
        with _reached(path):
            return bool(spark.read.text(f"{path}/_delta_log").schema)
    except AnalysisException:
        return False


def folder_tables(spark: SparkSession, folder: str, name: str = "") -> list[str]:
    """The folders of the Delta tables that lie directly in `folder`: all, or the one with that name."""
    # Brackets and the like would be a pattern. A question mark stands for one of any characters, so what is found is
    # compared with the folder and the name that were meant.
    pattern = f"{_PATTERN.sub('?', folder.rstrip('/'))}/{_PATTERN.sub('?', name) or '*'}"
    try:
        logs = spark.read.text(f"{pattern}/_delta_log/*.json").select("_metadata.file_path")
    except AnalysisException:  # there is none
        return []
    found = {
        unquote(row[0]).rpartition("/_delta_log/")[0].rpartition("/") for row in logs.distinct().collect()
    }
    wanted = local_as_path(folder.rstrip("/"))
    return sorted(
        f"{folder.rstrip('/')}/{last}"
        for around, _, last in found
        if local_as_path(around) == wanted and last == (name or last)
    )


def table_around(spark: SparkSession, path: str) -> str | None:
    """The Delta table's folder that `path` is or lies in; None if there is none. VACUUM of that table would delete what
    is kept there, except under names that begin with _."""
    parts = re.sub(r"(?<!:)/+", "/", path).rstrip("/").split("/")
    while parts and parts[-1] and not parts[-1].endswith(":"):
        around = "/".join(parts)
        with suppress(*spark_errors(), TableError):  # a parent folder that we may not read
            if is_table_folder(spark, around):
                return around
        if parts.pop().startswith("_"):
            break
    return None


def table_sql(table: str) -> str:
    """A table's name or path as written in SQL. Raises TableError for what is neither."""
    if not isinstance(table, str) or not table.strip():
        raise TableError(f"A table is a name or a path, as text, not {table!r}.")
    if "`" in table and ("/" not in table or re.match(r"\w+\.`", table)):
        return _quoted_by_the_caller(table)
    if "/" in table:
        if not is_absolute(table):
            raise TableError(
                f"{table!r} is a relative path, which means another folder to Spark.",
                hint="Give the absolute path, or the name of a table.",
            )
        return f"delta.{quote(table)}"
    parts = table.split(".")
    if len(parts) > 3 or not all(parts):
        raise TableError(
            f"{table!r} is not a table's name.", hint="Write table, schema.table or catalog.schema.table."
        )
    return ".".join(map(quote, parts))


def _quoted_by_the_caller(table: str) -> str:
    """The name again. Raises TableError unless it is one to three parts, quoted or not: it goes into SQL as it is."""
    if not re.fullmatch(r"((`([^`]|``)+`|\w+)(\.(?!$)|$)){1,3}", table) or "${" in table:
        raise TableError(
            f"{table!r} is not a table's name.",
            hint="Quote each part on its own: `catalog`.`schema`.`table`.",
        )
    return table


def folder_of(table: str) -> str | None:
    """The folder of a table that is named by its path; None if it is named in a catalog."""
    quoted = re.fullmatch(r"\w+\.`([^`]+)`", table)
    path = quoted[1] if quoted else table
    return path if is_absolute(path) else None


def check_columns(target: TableSnapshot, names: Sequence[str], what: str) -> tuple[str, ...]:
    """The table's spelling of `names`. Raises ColumnError that lists the table's columns."""
    if missing := [name for name in names if target.column(name) is None]:
        raise ColumnError(
            f"{target.name} has no column {missing[0]!r}, which is {what}.",
            hint=_field_hint(target, missing[0]) or f"It has: {', '.join(target.schema.fieldNames())}.",
        )
    return tuple(str(target.column(name)) for name in names)


def _field_hint(target: TableSnapshot, name: str) -> str:
    """What to do about `payload.text`, a field of the column `payload`; "" for other names."""
    column = target.column(name.partition(".")[0])
    if "." not in name or column is None or not isinstance(target.schema[column].dataType, StructType):
        return ""
    return (
        f"{column!r} is a struct, and its field is no column. Label a view that makes it one, with into='...': "
        f"SELECT *, {name} AS {name.replace('.', '_')} FROM {target.sql}; or write it into a column of its own, which "
        "Delta can generate (GENERATED ALWAYS AS)."
    )


def check_folders(spark: SparkSession, **given: Any) -> None:
    """Raises TableError if a folder lies inside a Delta table, where VACUUM would delete it. Ignores non-string
    values."""
    for name, folder in given.items():
        if isinstance(folder, str) and (table := table_around(spark, folder)):
            raise TableError(
                f"{name}={folder!r} lies in the folder of a Delta table ({table}), whose VACUUM would delete it.",
                hint="Name a folder outside of any table's.",
            )


def enable_deletion_vectors(spark: SparkSession, target: TableSnapshot) -> TableSnapshot:
    """Upgrades the table protocol: readers that do not know deletion vectors cannot read the table from then on."""
    spark.sql(f"ALTER TABLE {target.sql} SET TBLPROPERTIES ('{DELETION_VECTORS}' = 'true')")
    return open_snapshot(spark, target.name)
