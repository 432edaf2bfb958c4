"""What a pass writes into a table: MERGEs by key, guarded, marked with their maker, run again on conflicts.

In: an opened table, rows to be written. Out: how many were. Rows of a table for labels alone are inserted where they
are missing. No model runs in here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame

from sparklabel.delta_table import Target
from sparklabel.labels import human_sql, input_hash_sql, keeps_older_sql, quote, unstamped_sql
from sparklabel.table.commits import commit_metadata, retried
from sparklabel.table.opening import TaskTable
from sparklabel.table.plan import ANSWER, HASH, SEEN
from sparklabel.table.record import converted_sql, record_type
from sparklabel.tasks import Task


def merge_answers(opened: TaskTable, task: Task, answers: DataFrame, metadata: Mapping[str, Any]) -> int:
    """Writes `answers` (key columns, HASH, ANSWER, SEEN). Rows whose input changed meanwhile, or that a person or
    another pass answered, keep what they have."""
    target, owned = opened.target, opened.owned
    value, label = (f"t.{quote(c)}" for c in (owned.value, owned.label))
    # What a newer release added to the record, maybe just now, spoke of the old answer: it becomes NULL.
    table, ours = answers.sparkSession.sql(f"SELECT * FROM {target.sql}").schema, record_type(task)
    kept = converted_sql(f"s.{ANSWER}.value", ours["value"].dataType, table[owned.value].dataType)
    record = converted_sql(f"s.{ANSWER}", ours, table[owned.label].dataType)
    guards = [
        f"NOT {human_sql(value, label)}", f"{label}.pass_id <=> s.{SEEN}",
        f"NOT {keeps_older_sql(label, f's.{ANSWER}', f's.{HASH}')}",
    ]  # fmt: skip
    if not opened.apart:  # the inputs are here: an answer to what the row said before is none
        inputs = [f"t.{quote(str(target.column(c)))}" for c in task.inputs]
        guards.append(f"{input_hash_sql(inputs)} = s.{HASH}")
    inserted = {owned.value: kept, owned.label: record} if opened.apart else {}
    assignments = f"{value} = {kept}, {label} = {record}"
    return merge_rows(target, opened.keys, answers, " AND ".join(guards), assignments, metadata, inserted)


def stamp_corrections(opened: TaskTable, corrected: DataFrame, metadata: Mapping[str, Any]) -> int:
    """Marks rows (key columns, HASH) that people changed by a plain UPDATE, so that they can be told from the model's
    for good."""
    value, label = (f"t.{quote(c)}" for c in (opened.owned.value, opened.owned.label))
    return merge_rows(
        opened.target, opened.keys, corrected, f"{human_sql(value, label)} AND {unstamped_sql(label)}",
        f"{label}.source = 'human', {label}.status = if({label}.status = 'truncated', 'truncated', 'ok'), "
        f"{label}.input_hash = coalesce({label}.input_hash, s.{HASH}), "
        f"{label}.reviewed_at = coalesce({label}.reviewed_at, current_timestamp())",
        metadata,
    )  # fmt: skip


def merge_rows(
    target: Target,
    keys: Sequence[str],
    source: DataFrame,
    guard: str,
    assignments: str,
    metadata: Mapping[str, Any],
    inserted: Mapping[str, str] | None = None,
) -> int:
    """Assigns to the rows of `target` (as t) that `source` (as s) has the key of, and that still fulfil `guard`; rows
    that are missing are made with the columns `inserted`, where there are any. How many were written. `metadata` goes
    with the commit; its `pass_id` names the view that the MERGE reads."""
    spark, view = source.sparkSession, f"_sparklabel_{metadata['pass_id']}"
    source.createOrReplaceTempView(view)
    on = " AND ".join(f"t.{quote(k)} = s.{quote(k)}" for k in keys)
    merge = f"MERGE INTO {target.sql} t USING {view} s ON {on} WHEN MATCHED AND {guard} THEN UPDATE SET {assignments}"
    if inserted:
        columns = ", ".join(map(quote, (*keys, *inserted)))
        values = ", ".join((*(f"s.{quote(k)}" for k in keys), *inserted.values()))
        merge += f" WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})"

    def commit() -> int:
        with commit_metadata(spark, **metadata):
            made = spark.sql(merge).collect()[0]
        return int(made["num_updated_rows"]) + int(made["num_inserted_rows"])

    try:
        return retried(commit, f"Merging into {target.name}")
    finally:
        spark.catalog.dropTempView(view)
