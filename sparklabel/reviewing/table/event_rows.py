"""Events as rows of an answers table, and back.

In: events, or rows of the table. Out: a DataFrame with the table's columns, or events. Values travel as JSON, and Spark
gives them the task's type: that works alike over Spark Connect. Nothing is written here.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sparklabel.reviewing.records import Before, Event, Shown
from sparklabel.reviewing.table.iso_times import to_iso, to_micros
from sparklabel.sql import quote, sql_string

_OPTIONS = {
    "ignoreNullFields": "false",
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}
_AS_THEY_ARE = ("event_id", "input_hash", "kind", "reviewer", "reason", "note", "task_fingerprint", "model")
_SHOWN = "STRUCT<value: {0}, confidence: DOUBLE, `by`: STRING>"
_BEFORE = "STRUCT<value: {0}, reviewer: STRING, reviewed_at: TIMESTAMP_LTZ>"


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of the labeled table's key.

    Attributes:
        name: As the labeled table has it, and the JSON of keys.
        column: As the answers table has it: another name if that one is taken there.
        type: In SQL.
    """

    name: str
    column: str
    type: str


def columns(keys: Sequence[KeyColumn], value_type: str) -> dict[str, str]:
    """The columns of an answers table with their types, in order."""
    return {
        "event_id": "STRING", "journal": "STRING", "seq": "BIGINT", **{key.column: key.type for key in keys},
        "input_hash": "STRING", "kind": "STRING", "value": value_type, "reviewer": "STRING", "reason": "STRING",
        "shown": _SHOWN.format(value_type), "before": _BEFORE.format(value_type), "seconds": "DOUBLE",
        "note": "STRING", "task_fingerprint": "STRING", "model": "STRING", "answered_at": "TIMESTAMP_LTZ",
    }  # fmt: skip


def json_sql(struct: str) -> str:
    """A struct as JSON, with its NULLs; no time in it depends on the session's zone."""
    return f"to_json({struct}, {_options()})"


def key_json_sql(columns: Iterable[tuple[str, str]]) -> str:
    """A row's key as JSON: names, each with the column that has it."""
    return json_sql(struct_sql({name: quote(column) for name, column in columns}))


def struct_sql(fields: dict[str, str]) -> str:
    """A struct of SQL expressions by name."""
    return f"named_struct({', '.join(f'{sql_string(name)}, {sql}' for name, sql in fields.items())})"


def value_json(value: Any) -> str:
    """A value as `value_sql` reads it."""
    return json.dumps({"value": value})


def value_sql(text: str, value_type: str) -> str:
    """The value, of the task's type, in a column with `value_json`."""
    return f"from_json({text}, {sql_string(f'value {value_type}')}).value"


def event_frame(
    spark: SparkSession, events: Sequence[Event], journal: str, keys: Sequence[KeyColumn], value_type: str
) -> DataFrame:
    """The events, with an answers table's `columns`."""
    import pyarrow as pa

    texts = ("key", "value", "shown", "shown_by", "before", "before_by")
    schema = pa.schema(
        [(name, pa.string()) for name in (*_AS_THEY_ARE, *texts)]
        + [(name, pa.int64()) for name in ("seq", "before_at", "answered_at")]
        + [(name, pa.float64()) for name in ("seconds", "shown_confidence")]
    )
    rows = spark.createDataFrame(pa.Table.from_pylist([_row(event) for event in events], schema=schema))
    names = ", ".join(f"{quote(key.name)} {key.type}" for key in keys)
    key_struct = f"from_json(key, {sql_string(names)}, {_options()})"
    shown = {"value": value_sql("shown", value_type), "confidence": "shown_confidence", "by": "shown_by"}
    before = {
        "value": value_sql("`before`", value_type),
        "reviewer": "before_by",
        "reviewed_at": "timestamp_micros(before_at)",
    }
    made = {
        "journal": sql_string(journal),
        "value": value_sql("value", value_type),
        "shown": struct_sql(shown),
        "before": struct_sql(before),
        "answered_at": "timestamp_micros(answered_at)",
    } | {key.column: f"{key_struct}.{quote(key.name)}" for key in keys}
    wanted = columns(keys, value_type)
    return rows.selectExpr(*(f"{made.get(name, quote(name))} AS {quote(name)}" for name in wanted))


def event_sql(keys: Sequence[KeyColumn]) -> str:
    """A row of the answers table as the JSON that `read_event` reads."""
    parts = {name: name for name in (*_AS_THEY_ARE, "journal", "seq", "value", "shown", "seconds")}
    before = {"value": "`before`.value", "reviewer": "`before`.reviewer"}
    return json_sql(
        struct_sql(
            parts
            | {
                "key": key_json_sql((key.name, key.column) for key in keys),
                "before": struct_sql(before | {"reviewed_at": "unix_micros(`before`.reviewed_at)"}),
                "answered_at": "unix_micros(answered_at)",
            }
        )
    )


def read_event(text: str, task: str) -> tuple[str, Event]:
    """The event, and its journal."""
    found = json.loads(text)
    journal, before = found.pop("journal"), found["before"] or asdict(Before())
    found |= {
        "task": task,
        "shown": found["shown"] or asdict(Shown()),
        "before": before | {"reviewed_at": to_iso(before["reviewed_at"])},
        "answered_at": to_iso(found["answered_at"]) or "",
    }
    return journal, Event.from_dict(found)


def _row(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in (*_AS_THEY_ARE, "key", "seq", "seconds")} | {
        "value": value_json(event.value),
        "shown": value_json(event.shown.value),
        "shown_by": event.shown.by,
        "shown_confidence": event.shown.confidence,
        "before": value_json(event.before.value),
        "before_by": event.before.reviewer,
        "before_at": to_micros(event.before.reviewed_at),
        "answered_at": to_micros(event.answered_at),
    }


def _options() -> str:
    return f"map({', '.join(f'{sql_string(name)}, {sql_string(value)}' for name, value in _OPTIONS.items())})"
