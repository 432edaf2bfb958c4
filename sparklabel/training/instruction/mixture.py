"""What an instruction tuning learns from: tables with answers, each with its task, and how much each counts.

In: tables and tasks. Out: a frozen `Mixture`, checked; no table is opened here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sparklabel.arguments import check_flags, is_number
from sparklabel.errors import SetupError
from sparklabel.tasks import Task, check_task

MAX_SHOWN = 16
"""Examples in a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A table whose answers teach, or only judge. Made by `source`, which says what the fields mean."""

    table: str
    task: Task
    key: tuple[str, ...] | None = None
    answers: str | None = None
    column: str | None = None
    into: str | None = None
    weight: float = 1.0
    max_rows: int | None = None
    held_out: bool = False

    @property
    def answers_of(self) -> list[Any]:
        """Which rows of its table have answers, and where."""
        return [self.key, self.answers, self.column, self.into]


class Draw(NamedTuple):
    """What a source gives: the share of its rows that teach, drawn by a hash, and how often each of these is shown, on
    average."""

    share: float
    copies: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Sources, and how many rows each gives. Made by `mixture`, which says what the fields mean."""

    sources: tuple[Source, ...]
    cap: int = 20_000
    temperature: float = 1.0
    few_shot: tuple[int, int] = (0, 4)
    shuffle_labels: bool = True
    seed: int = 0

    @property
    def trained(self) -> tuple[Source, ...]:
        """Those that teach."""
        return tuple(one for one in self.sources if not one.held_out)

    def draws(self, counts: Sequence[int]) -> list[Draw]:
        """How much each training source gives.

        The share of a task is min(n, cap) ** (1 / temperature) of its n rows (Raffel et al. 2020, T5, 3.5.2), times its
        weight. Together the sources give as many examples as they have rows below their limits, times their weights.

        Args:
            counts: The rows that each of `trained` has.
        """
        taken = [min(n, self.cap, one.max_rows or n) for one, n in zip(self.trained, counts, strict=True)]
        weights = [one.weight for one in self.trained]
        shares = [w * rows ** (1 / self.temperature) for w, rows in zip(weights, taken, strict=True)]
        examples = sum(w * rows for w, rows in zip(weights, taken, strict=True))
        return [
            Draw(rows / n, examples * share / sum(shares) / rows) if rows else Draw(0.0, 0.0)
            for n, rows, share in zip(counts, taken, shares, strict=True)
        ]


def source(
    table: str,
    task: Task,
    *,
    key: str | Sequence[str] | None = None,
    answers: str | None = None,
    column: str | None = None,
    into: str | None = None,
    weight: float = 1.0,
    max_rows: int | None = None,
    held_out: bool = False,
) -> Source:
    """A table for a mixture.

    Args:
        table: The table's name or path.
        task: What its rows are asked.
        key: The column, or columns, that identify each row. Only needed if no pass has remembered them.
        answers: A column of right answers. None: what people answered in the columns of the task.
        column: Without `answers`: the value column, if it is not named like the task.
        into: Without `answers`: the table that has the labels, if `table` has not.
        weight: Above 0: how much the table counts beside the others of its size.
        max_rows: At most so many of its rows teach, about: they are drawn by a hash.
        held_out: The table only judges: it shows how well a task is answered that was never taught.

    Raises:
        TaskError: `task` is not a task.
        SetupError: An argument is not what it should be.

    Example:
        >>> from sparklabel import classification, source
        >>> verdict = classification("verdict", "text", ["fresh", "rotten"])
        >>> source("reviews", verdict, key="id", weight=2).weight
        2.0
    """
    check_task(task)
    check_flags(SetupError, held_out=held_out)
    for name, given in (("table", table), ("answers", answers), ("column", column), ("into", into)):
        if not (given is None and name != "table") and not (isinstance(given, str) and given.strip()):
            raise SetupError(f"{name}={given!r} is not a name.")
    if answers is not None and (column or into):
        raise SetupError(
            f"answers={answers!r} names a column of right answers; column= and into= say where people's answers are.",
            hint="Give either answers, or column and into.",
        )
    if not (is_number(weight) and math.isfinite(weight) and weight > 0):
        raise SetupError(
            f"weight={weight!r} is not a number above 0.", hint="Leave a table out that should not count."
        )
    if max_rows is not None and not _is_count(max_rows):
        raise SetupError(f"max_rows={max_rows!r} is not a number of rows, 1 at least.")
    keys = (key,) if isinstance(key, str) or not isinstance(key, Sequence | None) else key
    if keys is not None and not (keys and all(isinstance(one, str) and one.strip() for one in keys)):
        raise SetupError(f"key={key!r} is neither a column's name nor a list of them.")
    return Source(
        table=table, task=task, key=tuple(keys) if keys else None, answers=answers, column=column, into=into,
        weight=float(weight), max_rows=max_rows, held_out=held_out,
    )  # fmt: skip


def mixture(
    sources: Sequence[Source],
    *,
    cap: int = 20_000,
    temperature: float = 1.0,
    few_shot: tuple[int, int] = (0, 4),
    shuffle_labels: bool = True,
    seed: int = 0,
) -> Mixture:
    """What `instruction_tune` learns from.

    Args:
        sources: The tables, each from `source`.
        cap: At most so many rows of a table teach, about, so that a huge one does not drown the others.
        temperature: Above 1, small tables count more than their size: a table's share is its size to the power of
            1/temperature.
        few_shot: Each row is shown between so many and so many examples of its table, drawn anew for each row. The
            model learns to answer with examples, and without if the first number is 0.
        shuffle_labels: Each prompt lists the task's labels, types of entities or fields in an order of its own, and
            every other one without examples leaves some out, so that the model reads the list rather than learn it by
            heart. Answers lack what is left out.
        seed: Of what is drawn, at least 0.

    Raises:
        SetupError: There is no source that teaches, two tasks of one name differ, or an argument is not what it should
            be.

    Example:
        >>> from sparklabel import classification, mixture, source
        >>> verdict = classification("verdict", "text", ["fresh", "rotten"])
        >>> len(mixture([source("reviews", verdict)], few_shot=(0, 0)).sources)
        1
    """
    if isinstance(sources, Source) or not isinstance(sources, Sequence):
        raise SetupError(
            f"{sources!r} is not a list of sources.", hint="For example sl.mixture([sl.source(...)])."
        )
    check_flags(SetupError, shuffle_labels=shuffle_labels)
    given = tuple(sources)
    if wrong := [one for one in given if not isinstance(one, Source)]:
        raise SetupError(
            f"{wrong[0]!r} is not a source.", hint="Make each with sparklabel.source(table, task, ...)."
        )
    if not any(not one.held_out for one in given):
        raise SetupError(
            "The mixture has no source that teaches."
            if given
            else "The mixture has no sources.",
            hint="Give sources without held_out=True." if given else "For example sl.mixture([sl.source(...)]).",
        )  # fmt: skip
    tasks: dict[str, Source] = {}
    places = set[tuple[str | None, ...]]()
    for one in given:
        same = tasks.setdefault(one.task.name, one)
        place = (one.table, one.task.name, one.answers, one.column, one.into)
        if place in places:
            raise SetupError(
                f"{one.table} is given twice with the task {one.task.name!r}.",
                hint="Give it once; weight= says how often its rows are shown.",
            )
        places.add(place)
        if same.task.fingerprint != one.task.fingerprint:
            raise SetupError(
                f"{same.table} and {one.table} have different tasks of the name {one.task.name!r}.",
                hint="Name one of them otherwise: reports tell tasks apart by their names.",
            )
        if same.held_out != one.held_out:
            raise SetupError(
                f"The task {one.task.name!r} is held out in one of {same.table} and {one.table}, and taught in the "
                "other.",
                hint="A task that is taught anywhere is not new to the model: hold out all of its tables, or none.",
            )
    if not _is_count(cap):
        raise SetupError(f"cap={cap!r} is not a number of rows, 1 at least.")
    if not (is_number(temperature) and math.isfinite(temperature) and temperature > 0):
        raise SetupError(f"temperature={temperature!r} is not a number above 0.")
    shown = tuple(few_shot) if isinstance(few_shot, Sequence) else ()
    if len(shown) != 2 or not all(_is_count(n, 0) for n in shown) or not shown[0] <= shown[1] <= MAX_SHOWN:
        raise SetupError(
            f"few_shot={few_shot!r} is not the fewest and the most examples of a prompt.",
            hint=f"For example (0, 4); at most {MAX_SHOWN}.",
        )
    if not _is_count(seed, 0):
        raise SetupError(f"seed={seed!r} is not a whole number of at least 0.")
    return Mixture(
        sources=given, cap=cap, temperature=float(temperature), few_shot=(shown[0], shown[1]),
        shuffle_labels=shuffle_labels, seed=seed,
    )  # fmt: skip


def _is_count(given: object, least: int = 1) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= least
