"""Which rows people are asked: a random sample of those that no person has answered, and the ones that the model was
least sure of.

In: a table opened for a task. Out: `ReviewRow`s, each distinct input once. Reads only, and onto the driver only what is
to be asked. Nothing about a label enters the random sample, so that its held-out part can judge models; rows that a
condition on labels chose are no random ones, and none of them is held out.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.labels.predicates import model_value_sql
from sparklabel.reviewing.records import ReviewRow, RowLabel
from sparklabel.reviewing.table.event_rows import json_sql, key_json_sql, struct_sql
from sparklabel.reviewing.table.iso_times import to_iso
from sparklabel.splits import is_held_out
from sparklabel.sql import quote
from sparklabel.table.draw import askable_rows, draw_inputs, hash_frame, is_about_its_text
from sparklabel.table.row_states import HASH, STATE, condition_errors, labeled_rows
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Task
from sparklabel.texts import is_blank

_ROW, _COPIES = "_sparklabel_row", "_sparklabel_copies"


def sample_rows(
    spark: SparkSession, opened: TaskTable, task: Task, rows: int, where: str | None = None
) -> list[ReviewRow]:
    """The rows to ask: those of `draw_inputs`, and of the unsure ones none that is held out. Raises TableError for a
    wrong `where`."""
    with condition_errors(where, opened.source.name):
        askable = askable_rows(spark, opened, task, where)
        draw = draw_inputs(askable, opened, task, rows)
        chosen = dict.fromkeys(draw.random, not _is_about_labels(where, opened))
        chosen |= dict.fromkeys(draw.unsure, False)
        found = _read(spark, opened, task, askable, list(chosen), F.lit(True))
    listed = [
        _review_row(found[name], name, is_random) for name, is_random in chosen.items() if name in found
    ]
    return [row for row in listed if _has_enough(row, task) and (row.is_random or not row.is_held_out)]


def _is_about_labels(where: str | None, opened: TaskTable) -> bool:
    """Whether the condition names one of the task's columns."""
    names = (opened.label_columns.value, opened.label_columns.label)
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", where or "", re.IGNORECASE) for name in names)


def current_rows(
    spark: SparkSession, opened: TaskTable, task: Task, hashes: Sequence[str]
) -> dict[str, ReviewRow]:
    """The rows that have these inputs now, answered ones too. Of several with the same input, one that a person has
    answered speaks for all."""
    if not hashes:
        return {}
    states = labeled_rows(spark, opened, task)
    found = _read(spark, opened, task, states, hashes, ~F.col(STATE).startswith("human"))
    return {name: _review_row(one, name, is_random=True) for name, one in found.items()}


@dataclass(frozen=True, slots=True)
class _Found:
    """A distinct input as JSON, and how many rows have it."""

    content: str
    copies: int


def _read(
    spark: SparkSession, opened: TaskTable, task: Task, states: DataFrame, hashes: Sequence[str], last: Column
) -> dict[str, _Found]:
    """One row of each input, by hash: the first by key of those for which `last` is smallest."""
    rows = states.join(hash_frame(spark, hashes, HASH), HASH).withColumn(_ROW, F.expr(_row_sql(opened, task)))
    order = F.struct(last, F.expr(key_json_sql((key, key) for key in opened.keys)))
    grouped = rows.groupBy(HASH).agg(F.min_by(_ROW, order).alias(_ROW), F.count("*").alias(_COPIES))
    return {one[HASH]: _Found(one[_ROW], one[_COPIES]) for one in grouped.toArrow().to_pylist()}


def _has_enough(row: ReviewRow, task: Task) -> bool:
    texts = [not is_blank(text) for text in row.inputs]
    return all(texts) if task.needs_every_input else any(texts)


def _row_sql(opened: TaskTable, task: Task) -> str:
    """What is read of a row, as JSON."""
    label = quote(opened.label_columns.label)
    texts = ", ".join(f"CAST({quote(c)} AS STRING)" for c in opened.input_columns(task))
    names = ("confidence", "alternatives", "status", "model", "reviewer")
    return json_sql(
        struct_sql(
            {
                "key": key_json_sql((key, key) for key in opened.keys),
                "inputs": f"array({texts})",
                "value": quote(opened.label_columns.value),
                "said": model_value_sql(label),
                "is_about_it": is_about_its_text(label),
                "reviewed_at": f"unix_micros({label}.reviewed_at)",
                # A plain UPDATE of the value is a person's answer, too.
                "source": f"if({STATE} LIKE 'human%', 'human', {label}.source)",
            }
            | {name: f"{label}.{name}" for name in names}
        )
    )


def _review_row(found: _Found, input_hash: str, is_random: bool) -> ReviewRow:
    content = json.loads(found.content)
    inputs = tuple(content["inputs"])
    return ReviewRow(
        input_hash=input_hash, key=content["key"], inputs=inputs, copies=found.copies,
        is_held_out=is_held_out(inputs), is_random=is_random, label=_label(content),
    )  # fmt: skip


def _label(content: dict[str, Any]) -> RowLabel:
    """What a model said of another text than the row has now is left out."""
    answered = {
        "value": content["value"], "source": content["source"], "reviewer": content["reviewer"],
        "reviewed_at": to_iso(content["reviewed_at"]),
    }  # fmt: skip
    if not content["is_about_it"]:
        return RowLabel(**answered)
    others = tuple((one["value"], one["probability"]) for one in content["alternatives"] or ())
    return RowLabel(
        **answered, model_value=content["said"], confidence=content["confidence"], alternatives=others,
        status=content["status"], model=content["model"],
    )  # fmt: skip
