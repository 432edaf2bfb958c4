"""How far people agree about a task: what two or more of them said of the same rows.

In: the answers table. Out: an `AgreementReport`. What one person alone answered says nothing about agreement: it only
counts as answered.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from sparklabel.annotator_agreement import alpha, interval_alpha, pairwise_kappas
from sparklabel.errors import AnswersError
from sparklabel.redaction import printable_lines
from sparklabel.reviewing.records import Event
from sparklabel.reviewing.resolve import by_input, canonical, resolve
from sparklabel.reviewing.review_call import answers_name
from sparklabel.reviewing.table.answers_table import open_answers
from sparklabel.table.task_table import open_task_tables
from sparklabel.tasks import Rating, Scored, Task
from sparklabel.texts import counted

_PAIRS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAgreement:
    """Two people.

    Attributes:
        rows: How many rows both answered.
        same: How many of them alike.
        kappa: Cohen's; None where both always said the same one thing.
    """

    one: str
    other: str
    rows: int
    same: int
    kappa: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementReport:
    """How far people agree; `str()` of it is a summary to print. A row is a distinct input here.

    Attributes:
        answers: The answers table.
        task: The task's name.
        rows: Rows that somebody answered.
        shared: Rows that two or more people answered.
        people: How many rows each person answered, most first.
        alpha: Krippendorff's alpha over the shared rows: 1 is agreement, 0 what chance gives. None if all answers are
            the same, or no row is shared. Numbers are compared by their distance, other answers as equal or not.
        pairs: Each two people who answered the same rows, those that differ most often first.
        disputed: Rows about which people are evenly divided, and nobody has decided.
        decided: Rows that a lead decided.
    """

    answers: str
    task: str
    rows: int
    shared: int
    people: Mapping[str, int]
    alpha: float | None
    pairs: Sequence[PairAgreement]
    disputed: int
    decided: int

    def __str__(self) -> str:
        lines = [
            f"{self.answers}: {counted(self.rows, 'row')} of {self.task} answered by "
            f"{counted(len(self.people), 'person', 'people')}, {self.shared:,} of them by two or more",
            f"  Krippendorff's alpha {_figure(self.alpha)}; {self.disputed:,} disputed, "
            f"{self.decided:,} decided by a lead",
        ]
        lines += [
            f"  {pair.one} and {pair.other}: {pair.same:,} of {pair.rows:,} alike, kappa {_figure(pair.kappa)}"
            for pair in self.pairs[:_PAIRS_SHOWN]
        ]
        if left := len(self.pairs) - _PAIRS_SHOWN:
            lines += [f"  and {left:,} more pairs, which differ less often"] if left > 0 else []
        return printable_lines("\n".join(lines))


def agreement(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    column: str | None = None,
    into: str | None = None,
    answers: str | None = None,
) -> AgreementReport:
    """How far people agree who answered rows of a table in reviews.

    Args:
        table: The reviewed table.
        key, column, into: As for the review.
        answers: The answers table, if the review named one.

    Raises:
        TableError, ColumnError, KeyColumnError: The table cannot be read.
        AnswersError: Nobody has answered in a review yet.

    Example:
        ```python
        print(sl.agreement(spark, "tickets", intent))
        ```
    """
    open_task_tables(spark, table, [task], key, column, into=into, check_rows=False)
    name = answers_name({"table": table, "answers": answers}, task.name)
    found = open_answers(spark, name, task)
    if found is None:
        raise AnswersError(
            f"There are no answers of people to {task.name!r}: no table {name}.",
            hint="`sparklabel review` makes it. Name it if it has another name: answers='...'.",
        )
    return agreement_report(found.events(spark), task, name)


def agreement_report(events: Iterable[Event], task: Task, answers: str) -> AgreementReport:
    """The report of events in the order in which they count."""
    resolved = [resolve(own) for own in by_input(events).values()]
    votes = [one.votes for one in resolved if one.votes]
    said = [{person: _compared(task, value) for person, value in row.items()} for row in votes]
    people: dict[str, int] = {}
    for row in votes:
        for person in row:
            people[person] = people.get(person, 0) + 1
    rows = [list(row.values()) for row in votes]
    return AgreementReport(
        answers=answers,
        task=task.name,
        rows=len(votes),
        shared=sum(len(row) > 1 for row in votes),
        people=dict(sorted(people.items(), key=lambda one: (-one[1], one[0]))),
        alpha=interval_alpha(rows)
        if isinstance(task, Rating)
        else alpha([list(row.values()) for row in said]),
        pairs=_pairs(said),
        disputed=sum(one.is_disputed for one in resolved),
        decided=sum(one.by_lead for one in resolved),
    )


def _compared(task: Task, value: Any) -> Hashable:
    """Equal for answers that say the same: the order in which labels were chosen does not matter."""
    mode = task.answer_mode
    return mode.chosen(value) if isinstance(mode, Scored) and mode.accepts(value) else canonical(value)


def _pairs(said: Sequence[Mapping[str, Hashable]]) -> list[PairAgreement]:
    same: dict[tuple[str, str], int] = {}
    kappas = pairwise_kappas(said)
    for one, other in kappas:
        same[one, other] = sum(row[one] == row[other] for row in said if one in row and other in row)
    found = [
        PairAgreement(one=one, other=other, rows=rows, same=same[one, other], kappa=kappa)
        for (one, other), (kappa, rows) in kappas.items()
    ]
    return sorted(found, key=lambda pair: (pair.same / pair.rows, -pair.rows, pair.one, pair.other))


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
