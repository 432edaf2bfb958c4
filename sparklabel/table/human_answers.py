"""Human answers of a table, as training and judging need them.

In: a table at a pinned version, its task. Out: `HumanAnswers`, split once and for all into what may be trained on and
what judges. All answers count, those that changed the model's value and those that confirmed it: trained on
corrections alone a model collapses (benchmarks/LOG.md).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparklabel.few_shot.candidates import own_key
from sparklabel.labels.predicates import model_value_sql
from sparklabel.labels.status import ANSWERED, UNCERTAIN
from sparklabel.splits import is_held_out
from sparklabel.sql import quote
from sparklabel.table.row_states import STATE, Scope, row_states
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import AnswerMode, Task, counts
from sparklabel.tasks.json_values import plain

_NO_FAIR_JUDGE = "it would judge, and was asked for because the champion was uncertain"
"""Among rows on which one model is weak every other one looks better."""


@dataclass(frozen=True, slots=True)
class HumanAnswer:
    """One row's inputs, in the task's order, and what a person says of it. `agreed`: whether the model had said
    the same, None where no model was asked (an adopted column)."""

    inputs: tuple[str | None, ...]
    answer: Any
    agreed: bool | None


@dataclass(frozen=True, slots=True)
class HumanAnswers:
    """The usable answers, all of which the task accepts, and how many were left out and why."""

    train: tuple[HumanAnswer, ...]
    held_out: tuple[HumanAnswer, ...]
    left_out: dict[str, int]

    def counts(self, mode: AnswerMode) -> dict[str, int]:
        """Training answers by what they say, most frequent first."""
        return counts(mode, (answer.answer for answer in self.train))

    @property
    def agreements(self) -> int:
        return sum(answer.agreed is True for answer in self.train)


def human_answers(spark: SparkSession, opened: TaskTable, task: Task) -> HumanAnswers:
    """Reads them from the pinned version, onto the driver."""
    mode, label_columns = task.answer_mode, opened.label_columns
    label = quote(label_columns.label)
    columns = [quote(str(opened.source.column(c))) for c in task.inputs]
    # No model is asked for here, and nothing is pending: what people answered depends on neither.
    states = row_states(spark, opened, task, Scope(relabel="none"))
    rows = (
        states.where(F.col(STATE).startswith("human"))
        .select(
            F.array(*(F.col(c).cast("string") for c in columns)).alias("inputs"),
            F.col(quote(label_columns.value)).alias("answer"),
            F.expr(model_value_sql(label)).alias("said"),
            F.expr(f"{label}.status").alias("status"),
            F.expr(f"{label}.labeled_at IS NOT NULL").alias("asked"),
            (F.col(STATE) == "human_input_changed").alias("stale"),
            F.expr(f"{label}.review_reason <=> 'queue'").alias("chosen"),
        )
        .collect()
    )
    train, held_out, left_out = [], [], Counter[str]()
    for row in rows:
        inputs, answer = tuple(row["inputs"]), plain(row["answer"])
        if reason := _unusable(inputs, answer, row["stale"], mode):
            left_out[reason] += 1
            continue
        told = row["status"] in (*ANSWERED, UNCERTAIN)
        agreed = told and mode.agreement(answer, plain(row["said"])) == 1 if row["asked"] else None
        found = HumanAnswer(inputs, answer, agreed)
        if not is_held_out(inputs):
            train.append(found)
        elif row["chosen"]:
            left_out[_NO_FAIR_JUDGE] += 1
        else:
            held_out.append(found)
    # In an order of their own: rows come as the table's files lie, and training and ties depend on it.
    return HumanAnswers(
        tuple(sorted(train, key=_place)), _one_vote_each(sorted(held_out, key=_place)), dict(left_out)
    )


def _place(found: HumanAnswer) -> tuple[tuple[str, ...], str]:
    return tuple(text or "" for text in found.inputs), repr(found.answer)


def _one_vote_each(answers: Sequence[HumanAnswer]) -> tuple[HumanAnswer, ...]:
    """One answer for each normalized input, what most said: copies of a text must not pass for evidence."""
    votes: dict[tuple[str, ...], list[HumanAnswer]] = {}
    for answer in answers:
        votes.setdefault(own_key(answer.inputs), []).append(answer)
    return tuple(max(same, key=lambda a: sum(b.answer == a.answer for b in same)) for same in votes.values())


def _unusable(inputs: Sequence[str | None], answer: Any, stale: bool, mode: AnswerMode) -> str:
    if stale:
        return "the input changed after the answer"
    if not mode.accepts(answer):
        return "the answer is not one that the task accepts"
    return "" if any(text and text.strip() for text in inputs) else "the input is empty"
