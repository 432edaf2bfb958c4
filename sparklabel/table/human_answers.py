"""The human answers of a table, for training and evaluation.

In: a table at a pinned version, its task. Out: `HumanAnswers`, split once and for all into training and held-out
answers. Both count: answers that changed the model's value and answers that confirmed it. A model trained on
corrections alone collapses (benchmarks/LOG.md).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparklabel.labels.predicates import model_value_sql
from sparklabel.labels.status import ANSWERED, UNCERTAIN
from sparklabel.splits import input_key, is_held_out, is_validation
from sparklabel.sql import quote
from sparklabel.table.driver_rows import MAX_BYTES, MAX_ROWS, bounded
from sparklabel.table.row_states import HASH, STATE, labeled_rows
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import AnswerMode, Task, counts
from sparklabel.tasks.json_values import plain
from sparklabel.texts import composed, is_blank

_NO_FAIR_JUDGE = "held out, but chosen for review because the champion was uncertain"
"""On rows that were chosen because one model is weak there, every other model looks better."""
_TOO_MANY = (
    f"more than {MAX_ROWS:,} rows or {MAX_BYTES >> 20:,} MiB: those that are read are chosen by a hash"
)
"""An adopted column can have as many answers as the table has rows."""


@dataclass(frozen=True, slots=True)
class HumanAnswer:
    """A person's answer for one row.

    Attributes:
        inputs: The texts, in the task's order.
        agreed: Whether the model had given the same answer; None if no model was asked (an adopted column).
    """

    inputs: tuple[str | None, ...]
    answer: Any
    agreed: bool | None


@dataclass(frozen=True, slots=True)
class HumanAnswers:
    """The answers that the task accepts, how many were left out, by reason, and how many people are named as the
    reviewers of those that were not."""

    train: tuple[HumanAnswer, ...]
    held_out: tuple[HumanAnswer, ...]
    left_out: dict[str, int]
    people: int = 0

    @property
    def not_read(self) -> int:
        """How many were left out because the driver takes no more."""
        return self.left_out.get(_TOO_MANY, 0)

    def counts(self, mode: AnswerMode) -> dict[str, int]:
        """How often each answer occurs in training, most frequent first."""
        return counts(mode, (answer.answer for answer in self.train))

    @property
    def distinct_inputs(self) -> int:
        """Those of the training and of the held-out answers."""
        return len({input_key(answer.inputs) for answer in self.train}) + len(self.held_out)

    def for_search(self) -> "HumanAnswers":
        """The training answers alone, of which a fifth of the inputs judges, as the held-out ones do otherwise."""
        train = tuple(answer for answer in self.train if not is_validation(answer.inputs))
        judging = tuple(answer for answer in self.train if is_validation(answer.inputs))
        return HumanAnswers(train, one_vote_each(judging), self.left_out, self.people)

    @property
    def agreements(self) -> int:
        return sum(answer.agreed is True for answer in self.train)


def human_answers(spark: SparkSession, opened: TaskTable, task: Task) -> HumanAnswers:
    """Reads the pinned version's human answers onto the driver: at most 200,000 or 256 MiB, always the same ones."""
    mode, label_columns = task.answer_mode, opened.label_columns
    label = quote(label_columns.label)
    columns = [quote(c) for c in opened.input_columns(task)]
    rows = (
        labeled_rows(spark, opened, task)
        .where(F.col(STATE).startswith("human"))
        .select(
            HASH,
            F.array(*(F.col(c).cast("string") for c in columns)).alias("inputs"),
            F.col(quote(label_columns.value)).alias("answer"),
            F.expr(model_value_sql(label)).alias("said"),
            F.expr(f"{label}.status").alias("status"),
            F.expr(f"{label}.labeled_at IS NOT NULL").alias("asked"),
            (F.col(STATE) == "human_input_changed").alias("stale"),
            F.expr(f"{label}.review_reason <=> 'queue'").alias("chosen"),
            F.expr(f"{label}.reviewer").alias("reviewer"),
        )
    )
    read, beyond = bounded(rows, HASH)
    left_out = Counter({_TOO_MANY: beyond} if beyond else {})
    train, held_out, people = [], [], set[str]()
    for row in read.collect():
        inputs, answer = tuple(row["inputs"]), plain(row["answer"])
        if reason := _unusable(inputs, answer, row["stale"], mode):
            left_out[reason] += 1
            continue
        told = row["status"] in (*ANSWERED, UNCERTAIN)
        agreed = None
        if row["asked"]:
            agreed = told and mode.agreement(answer, plain(row["said"])) == 1
        found = HumanAnswer(inputs, answer, agreed)
        people |= {row["reviewer"]} if row["reviewer"] else set()
        if not is_held_out(inputs):
            train.append(found)
        elif row["chosen"]:
            left_out[_NO_FAIR_JUDGE] += 1
        else:
            held_out.append(found)
    # Sorted, because rows come in the order of the table's files, and training and ties depend on their order.
    return HumanAnswers(
        tuple(sorted(train, key=_sort_key)), one_vote_each(sorted(held_out, key=_sort_key)), dict(left_out),
        len(people),
    )  # fmt: skip


def _sort_key(found: HumanAnswer) -> tuple[tuple[str, ...], str]:
    return tuple(text or "" for text in found.inputs), repr(found.answer)


def one_vote_each(answers: Sequence[HumanAnswer]) -> tuple[HumanAnswer, ...]:
    """One answer per normalized input, by majority: copies of a text must not count as evidence."""
    votes: dict[tuple[str, ...], list[HumanAnswer]] = {}
    for answer in answers:
        votes.setdefault(input_key(answer.inputs), []).append(answer)
    return tuple(map(_most_frequent, votes.values()))


def _most_frequent(same: Sequence[HumanAnswer]) -> HumanAnswer:
    """The first of those with the most frequent answer."""
    numbers = Counter(composed(repr(one.answer)) for one in same)
    return max(same, key=lambda one: numbers[composed(repr(one.answer))])


def _unusable(inputs: Sequence[str | None], answer: Any, stale: bool, mode: AnswerMode) -> str:
    if stale:
        return "the input changed after the answer"
    if not mode.accepts(answer):
        return "the answer is not one that the task accepts"
    return "the input is empty" if all(map(is_blank, inputs)) else ""
