"""The labels that a review writes, in SQL.

In: rows with the label that they have, joined with what was decided about them. Out: SQL of their new value and record,
and the `Change` of a MERGE that writes both if the row still holds what was read.

A person's answer changes who answered and what; the model's own answer stays in the record, so that it can be compared,
and given back. What a pass had said of another text than the row has now is not the model's answer to this one: such a
record loses `labeled_at`, by which everybody tells whether a model was asked.
"""

from pyspark.sql import DataFrame
from pyspark.sql.types import DataType

from sparklabel.delta.data_types import ddl
from sparklabel.labels.predicates import input_hash_sql
from sparklabel.labels.status import UNCERTAIN
from sparklabel.reviewing.table.event_rows import json_sql, struct_sql, value_sql
from sparklabel.reviewing.table.label_decisions import TO_MODEL
from sparklabel.sql import quote
from sparklabel.table.merge import Change, source_of
from sparklabel.table.row_states import HASH
from sparklabel.table.schema_evolution import cast_struct_sql, record_type
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Task

HELD = "_sparklabel_held"
"""What a row held when it was read, as JSON."""
ACTION, ANSWERED_VALUE, REVIEWER, REVIEWED_AT, REASON = DECIDED = (
    "_sparklabel_action", "_sparklabel_answer", "_sparklabel_reviewer", "_sparklabel_reviewed_at", "_sparklabel_reason",
)  # fmt: skip
"""What was decided: the action, the value as JSON, who answered, when in microseconds since 1970, and why shown."""
_VALUE, _RECORD = "_sparklabel_value", "_sparklabel_record"


def held_sql(value: str, label: str) -> str:
    """What a row holds, as JSON: the answer, and what tells it from any other state of the row."""
    names = ("source", "reviewer", "pass_id", "status", "input_hash")
    parts = {name: f"{label}.{name}" for name in names}
    return json_sql(
        struct_sql({"value": value} | parts | {"reviewed_at": f"unix_micros({label}.reviewed_at)"})
    )


def labels_change(opened: TaskTable, task: Task, decided: DataFrame) -> Change:
    """The change that writes rows of `labeled_rows` with HELD and what was DECIDED of them."""
    label = quote(opened.label_columns.label)
    is_model = f"{ACTION} = '{TO_MODEL}'"
    value = value_sql(ANSWERED_VALUE, task.value_type)
    rows = decided.selectExpr(
        *map(quote, opened.keys),
        HASH,
        HELD,
        f"CASE WHEN NOT {is_model} THEN {value} WHEN {_is_known(label)} THEN {label}.value END AS {_VALUE}",
        f"CASE WHEN NOT {is_model} THEN {_persons(task, label)} WHEN {_is_known(label)} THEN {_models(task, label)} "
        f"END AS {_RECORD}",
    )
    return Change(opened.label_columns.value, rows, _guard(opened, task), _assigned(opened, task), few=True)


def _is_known(label: str) -> str:
    """Whether the record still says what the model's answer was. A failed row's status is overwritten by a person's
    answer: such a row is pending again."""
    answered = f"{label}.value IS NOT NULL OR {label}.error IS NULL OR size({label}.alternatives) > 0"
    return f"({label}.labeled_at IS NOT NULL AND ({answered}))"


def _persons(task: Task, label: str) -> str:
    return _record(
        task,
        label,
        {
            "source": "'human'",
            "reviewer": REVIEWER,
            "reviewed_at": f"timestamp_micros({REVIEWED_AT})",
            "review_reason": REASON,
            "input_hash": HASH,
            "status": f"if({label}.status = 'truncated', 'truncated', 'ok')",
            "labeled_at": f"if({label}.input_hash = {HASH}, {label}.labeled_at, NULL)",
        },
    )


def _models(task: Task, label: str) -> str:
    # A withheld answer is among the alternatives, and the record says why: its value is NULL.
    is_withheld = f"{label}.value IS NULL AND {label}.error IS NOT NULL"
    types = record_type(task)
    nobody = {
        name: f"CAST(NULL AS {ddl(types[name].dataType)})"
        for name in ("reviewer", "reviewed_at", "review_reason")
    }
    status = f"if({is_withheld}, '{UNCERTAIN}', {label}.status)"
    return _record(task, label, {"source": "'model'", "status": status} | nobody)


def _record(task: Task, label: str, changed: dict[str, str]) -> str:
    names = record_type(task).fieldNames()
    return struct_sql({name: changed.get(name, f"{label}.{quote(name)}") for name in names})


def _guard(opened: TaskTable, task: Task) -> str:
    columns, source = opened.label_columns, source_of(opened.label_columns.value)
    have = opened.target.schema[columns.value].dataType
    value = cast_struct_sql(f"t.{quote(columns.value)}", have, DataType.fromDDL(task.value_type))
    guard = f"{held_sql(value, f't.{quote(columns.label)}')} = {source}.{HELD}"
    if opened.has_separate_labels:
        return guard
    inputs = [f"t.{quote(name)}" for name in opened.input_columns(task)]
    return f"{guard} AND {input_hash_sql(inputs)} = {source}.{HASH}"


def _assigned(opened: TaskTable, task: Task) -> dict[str, str]:
    columns, source, table = (
        opened.label_columns,
        source_of(opened.label_columns.value),
        opened.target.schema,
    )
    record = record_type(task)
    return {
        columns.value: cast_struct_sql(
            f"{source}.{_VALUE}", record["value"].dataType, table[columns.value].dataType
        ),
        columns.label: cast_struct_sql(f"{source}.{_RECORD}", record, table[columns.label].dataType),
    }
