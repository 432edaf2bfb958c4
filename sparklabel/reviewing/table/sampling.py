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

from sparklabel.labels.predicates import model_value_sql, random_order_sql
from sparklabel.reviewing.records import ReviewRow, RowLabel
from sparklabel.reviewing.table.event_rows import json_sql, key_json_sql, struct_sql
from sparklabel.reviewing.table.iso_times import to_iso
from sparklabel.reviewing.table.label_merge import hash_frame
from sparklabel.splits import is_held_out
from sparklabel.sql import quote
from sparklabel.table.row_states import HASH, STATE, Scope, condition_errors, labeled_rows, row_states
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Scored, Task
from sparklabel.texts import is_blank

_UNCERTAIN_SHARE = 4
"""For four rows at random one that the model was unsure of."""
_EVEN = 3
"""So many times its even share of the unsure rows a predicted label may have: of 77 labels one can be all of them."""
_ROW, _COPIES, _SURE, _DRAW = "_sparklabel_row", "_sparklabel_copies", "_sparklabel_sure", "_sparklabel_draw"


def sample_rows(
    spark: SparkSession, opened: TaskTable, task: Task, rows: int, where: str | None = None
) -> list[ReviewRow]:
    """The rows to ask: first `rows` at random; then, of a table with more, a quarter as many with the smallest margin
    between the two most probable answers, and none of these held out. Raises TableError for a wrong `where`."""
    with condition_errors(where, opened.source.name):
        states = row_states(spark, opened, task, Scope(relabel="none", where=where))
        states = states.where(~F.col(STATE).startswith("human") & F.expr(_has_text(opened, task)))
        draw = F.expr(random_order_sql(HASH)).alias(_DRAW)
        drawn = states.select(HASH).distinct().select(HASH, draw).orderBy(_DRAW).limit(rows).toArrow()
        chosen = dict.fromkeys(drawn[HASH].to_pylist(), not _is_about_labels(where, opened))
        if len(chosen) == rows:
            rest = states.where(draw > F.lit(drawn[_DRAW][-1].as_py()))
            chosen |= dict.fromkeys(_unsure(rest, opened, task, max(1, rows // _UNCERTAIN_SHARE)), False)
        found = _read(spark, opened, task, states, list(chosen), F.lit(True))
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


def _unsure(states: DataFrame, opened: TaskTable, task: Task, number: int) -> list[str]:
    """The hashes of so many inputs with the smallest margins, without those of a label that has more than its share."""
    mode = task.answer_mode
    labels = len(mode.choices) if isinstance(mode, Scored) else 1
    most = max(1, _EVEN * number // labels)
    within = F.expr(f"row_number() OVER (PARTITION BY {_SURE}.predicted ORDER BY {_SURE}.margin, {HASH})")
    inputs = states.select(HASH, F.expr(_sure_sql(opened)).alias(_SURE)).where(F.col(_SURE).isNotNull())
    inputs = inputs.groupBy(HASH).agg(F.min(_SURE).alias(_SURE))
    ranked = inputs.withColumn("_rank", within).where(F.col("_rank") <= most)
    found = ranked.orderBy(f"{_SURE}.margin", HASH).limit(number).select(HASH).toArrow()
    return [str(name) for name in found[HASH].to_pylist()]


def _has_text(opened: TaskTable, task: Task) -> str:
    """A first look: what counts as text is decided exactly where the rows are read."""
    texts = [f"coalesce(length(trim(CAST({quote(c)} AS STRING))), 0) > 0" for c in opened.input_columns(task)]
    return (" AND " if task.needs_every_input else " OR ").join(f"({text})" for text in texts)


def _has_enough(row: ReviewRow, task: Task) -> bool:
    texts = [not is_blank(text) for text in row.inputs]
    return all(texts) if task.needs_every_input else any(texts)


def _is_about_it(label: str) -> str:
    """Whether the record is about the text that the row has now."""
    return f"coalesce({label}.input_hash = {HASH}, false)"


def _sure_sql(opened: TaskTable) -> str:
    """How much more probable the model's answer is than the next one, and the answer; NULL if that is not known."""
    label = quote(opened.label_columns.label)
    margin = f"get({label}.alternatives, 0).probability - get({label}.alternatives, 1).probability"
    predicted = json_sql(struct_sql({"value": f"get({label}.alternatives, 0).value"}))
    both = struct_sql({"margin": margin, "predicted": predicted})
    return f"if({_is_about_it(label)} AND {margin} IS NOT NULL, {both}, NULL)"


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
                "is_about_it": _is_about_it(label),
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
