"""The one way to open a table for a task: where its rows are, and where its labels.

In: a table, a task, a key; the name of a table for the labels alone, where they have one. Out: a frozen record.
Everything wrong is raised here, before any model is loaded and before anything is written; `make_room` is all that
writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from sparklabel.delta_table import (
    UNVERSIONED,
    Target,
    check_inputs,
    is_delta,
    open_source,
    open_target,
    table_sql,
)
from sparklabel.errors import ColumnError, TableError
from sparklabel.labels import quote
from sparklabel.table.columns import Owned, add_columns, owned_columns
from sparklabel.table.key import check_key
from sparklabel.table.record import same_type
from sparklabel.tasks import Task, check_task


@dataclass(frozen=True, slots=True)
class TaskTable:
    """A table opened for a task, pinned. `source` is where the inputs are, `target` where the task's columns are or
    will be: the same table, or one for labels alone, which has the key and no inputs. `keys` are as `target` and
    `source` both spell them. `arrived` are rows of the source that a stream brought, in place of all of them."""

    source: Target
    target: Target
    keys: tuple[str, ...]
    owned: Owned
    arrived: DataFrame | None = field(default=None, compare=False, repr=False)

    @property
    def apart(self) -> bool:
        """Whether labels have a table of their own."""
        return self.source is not self.target

    def rows(self, spark: SparkSession) -> DataFrame:
        """The pinned rows with the task's columns, as far as these are there yet."""
        rows = self.source.read(spark) if self.arrived is None else self.arrived
        if not self.apart and self.arrived is None:
            return rows
        own = (self.owned.value, self.owned.label)
        rows = rows.drop(*(c for c in rows.columns if c.lower() in {name.lower() for name in own}))
        if self.target.version == UNVERSIONED:
            return rows
        there = [quote(name) for name in own if name in self.target.schema.fieldNames()]
        labels = self.target.read(spark).select(*map(quote, self.keys), *there)
        return rows.join(labels, list(self.keys), "left")

    def newest(self, spark: SparkSession, task: Task) -> "TaskTable":
        """The same at the newest versions. The key is not looked at again."""
        there = self.target.version != UNVERSIONED or is_delta(spark, self.target.sql)
        target = open_target(spark, self.target.name) if there else self.target
        source = open_source(spark, self.source.name) if self.apart else target
        owned = owned_columns(target, task, self.keys, self.owned.value, adopt=True)
        return replace(self, source=source, target=target, owned=owned)

    def make_room(self, spark: SparkSession, task: Task) -> "TaskTable":
        """The same with the task's columns in the table, made where they are missing. Looks at the table again first:
        another pass may be making the same."""
        if self.apart and self.target.version == UNVERSIONED:
            keys = ", ".join(f"{quote(k)} {self.source.schema[k].dataType.simpleString()}" for k in self.keys)
            spark.sql(f"CREATE TABLE IF NOT EXISTS {self.target.sql} ({keys}) USING DELTA")
        latest = open_target(spark, self.target.name)
        owned = owned_columns(latest, task, self.keys, self.owned.value, adopt=True)
        target = add_columns(spark, latest, owned, task)
        return replace(
            self, target=target, source=self.source if self.apart else target,
            owned=Owned(owned.value, owned.label, ()),
        )  # fmt: skip


def open_task_table(
    spark: SparkSession,
    table: str,
    task: Task,
    key: str | Sequence[str],
    column: str | None = None,
    adopt: bool = False,
    into: str | None = None,
) -> TaskTable:
    """Finds the table and checks all that a task needs of it. `into` is the table that has, or will have, the labels
    alone. Raises TableError, ColumnError or KeyColumnError."""
    check_task(task)
    source = open_source(spark, table) if into else open_target(spark, table)
    keys = check_key(spark, source, key)
    check_inputs(source, task)
    target = _labels_table(spark, into, source, keys) if into else source
    if target.properties.get("delta.appendOnly", "false").lower() == "true":
        raise TableError(
            f"{target.name} is append-only: no row of it can be changed.",
            hint=f"ALTER TABLE {target.sql} SET TBLPROPERTIES ('delta.appendOnly' = 'false'); or keep the labels in a "
            "table of their own: into='...'.",
        )
    return TaskTable(source, target, keys, owned_columns(target, task, keys, column, adopt))


def _labels_table(spark: SparkSession, into: str, source: Target, keys: Sequence[str]) -> Target:
    sql = table_sql(into)
    if not is_delta(spark, sql):
        if spark.catalog.tableExists(into) if "/" not in into and "`" not in into else False:
            raise TableError(f"{into} is there, and is no Delta table.", hint="Name another one with into=.")
        return Target(into, sql, "", UNVERSIONED, StructType([source.schema[k] for k in keys]), {})
    target = open_target(spark, into)
    if target.location == source.location:
        raise TableError(f"into={into!r} is the table itself.", hint="Leave into= out to label it in place.")
    for key in keys:
        if key not in target.schema.fieldNames():
            raise ColumnError(
                f"{into} has no column {key!r}, which is the key of {source.name}.",
                hint=f"It has: {', '.join(target.schema.fieldNames())}. Name another table with into=.",
            )
        found, wanted = target.schema[key].dataType, source.schema[key].dataType
        if not same_type(found, wanted):
            raise ColumnError(
                f"The key {key!r} is {wanted.simpleString()} in {source.name} and {found.simpleString()} in {into}.",
                hint="Name another table with into=.",
            )
    return target
