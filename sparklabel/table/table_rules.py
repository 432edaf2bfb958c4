"""What a table's own rules would refuse when a pass writes its answers, found out before a model is asked.

In: an opened table, a task. Out: nothing, or an error that names the column and the statement that helps. What cannot
be known beforehand (a constraint over several columns, a trigger elsewhere) is an error of the MERGE, which leaves the
answers in staging.
"""

from collections.abc import Sequence

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import SparkSession
from pyspark.sql.types import CharType, VarcharType

from sparklabel.delta.data_types import declared_ddl, declared_type, holds_type, types_within
from sparklabel.delta.session import query_errors_unprinted
from sparklabel.delta.snapshot import TableSnapshot, check_columns
from sparklabel.errors import ColumnError, TableError
from sparklabel.sql import quote, sql_list, sql_string
from sparklabel.tasks import Scored, Task

_APART = "keep the labels in a table of their own: into='...'."
_DEFAULT = "CURRENT_DEFAULT"
"""Spark's metadata of a column with a DEFAULT: its SQL."""
_CONSTRAINT = "delta.constraints."


def check_changeable(target: TableSnapshot) -> None:
    """Raises TableError for an append-only table."""
    if target.properties.get("delta.appendOnly", "false").lower() == "true":
        raise TableError(
            f"{target.name} is append-only: no row of it can be changed.",
            hint=f"ALTER TABLE {target.sql} SET TBLPROPERTIES ('delta.appendOnly' = 'false'); or {_APART}",
        )


def check_comparable(target: TableSnapshot, names: Sequence[str]) -> None:
    """Raises ColumnError for CHAR columns: Delta 4.4 cannot plan a MERGE whose conditions read one, as Spark's padding
    hides the column."""
    for name in check_columns(target, names, "read"):
        field = target.schema[name]
        if holds_type(declared_type(field), CharType):
            raise ColumnError(
                f"The column {name!r} of {target.name} is {declared_ddl(field)}, by which Delta cannot MERGE.",
                hint=f"ALTER TABLE {target.sql} ALTER COLUMN {quote(name)} TYPE STRING, which rewrites nothing; or "
                f"{_APART}",
            )


def check_values_fit(spark: SparkSession, target: TableSnapshot, task: Task, column: str) -> None:
    """Raises ColumnError if the existing `column` cannot take each value of the task: it is too short, has a DEFAULT
    that would pass for people's answers, or a constraint of its own that excludes a label."""
    if not (name := target.column(column)):
        return
    check_comparable(target, [name])
    _check_no_default(target, name)
    _check_nullable(target, name)
    mode = task.answer_mode
    labels = [c for c in mode.choices if isinstance(c, str)] if isinstance(mode, Scored) else None
    _check_long_enough(target, name, labels)
    if labels:
        _check_constraints(spark, target, name, labels)


def _check_no_default(target: TableSnapshot, name: str) -> None:
    default = target.schema[name].metadata.get(_DEFAULT, "NULL")
    if default.upper() != "NULL":
        column = quote(name)
        raise ColumnError(
            f"The column {name!r} of {target.name} has the default {default}: each new row would count as a person's "
            "answer.",
            hint=f"ALTER TABLE {target.sql} ALTER COLUMN {column} DROP DEFAULT; and for rows that have it already: "
            f"UPDATE {target.sql} SET {column} = NULL WHERE {column} = {default} AND {quote(name + '_label')} IS NULL",
        )


def _check_nullable(target: TableSnapshot, name: str) -> None:
    """A value that must not be NULL cannot wait for an answer."""
    column = quote(name)
    if not target.schema[name].nullable:
        raise ColumnError(
            f"The column {name!r} of {target.name} is NOT NULL, and a row without an answer has none.",
            hint=f"ALTER TABLE {target.sql} ALTER COLUMN {column} DROP NOT NULL; or name another column with column=.",
        )


def _check_long_enough(target: TableSnapshot, name: str, labels: Sequence[str] | None) -> None:
    field = target.schema[name]
    limits = [found.length for found in types_within(declared_type(field)) if isinstance(found, VarcharType)]
    too_long = max(labels, key=len) if labels else "a generated value"
    if limits and (labels is None or len(too_long) > min(limits)):
        what = f"the label {too_long!r} has {len(too_long)}" if labels else f"{too_long} may have more"
        raise ColumnError(
            f"The column {name!r} of {target.name} is {declared_ddl(field)}, and {what} characters.",
            hint=f"ALTER TABLE {target.sql} ALTER COLUMN {quote(name)} TYPE STRING, which rewrites nothing; or name "
            "another column with column=.",
        )


def _check_constraints(spark: SparkSession, target: TableSnapshot, name: str, labels: Sequence[str]) -> None:
    """CHECKs of the column alone, all in one query. Those that need other columns cannot be evaluated on labels."""
    values = f"SELECT explode(array({sql_list(labels)})) AS {quote(name)}"
    conditions = {
        key.removeprefix(_CONSTRAINT): condition
        for key, condition in target.properties.items()
        if key.startswith(_CONSTRAINT) and _is_about(spark, values, condition)
    }
    if not conditions:
        return
    breaks = " ".join(
        f"WHEN NOT coalesce({condition}, false) THEN {sql_string(constraint)}"
        for constraint, condition in conditions.items()
    )
    found = spark.sql(f"SELECT *, CASE {breaks} END AS _sparklabel_breaks FROM ({values})")
    if broken := found.where("_sparklabel_breaks IS NOT NULL").first():
        label, constraint = broken
        raise ColumnError(
            f"The constraint {constraint} of {target.name} ({conditions[constraint]}) excludes the label {label!r}.",
            hint=f"ALTER TABLE {target.sql} DROP CONSTRAINT {quote(constraint)}, and add one that includes all "
            "labels; or name another column with column=.",
        )


def _is_about(spark: SparkSession, values: str, condition: str) -> bool:
    """Whether a condition reads no other columns than `values` has. Nothing is computed."""
    try:
        with query_errors_unprinted():
            return bool(spark.sql(f"SELECT coalesce({condition}, false) FROM ({values})").schema)
    except (AnalysisException, ParseException):
        return False
