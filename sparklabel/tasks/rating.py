"""Rating: where on an ordinal scale? Every point of the scale is scored; the value is the expectation over them."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from sparklabel.tasks.answer_modes import Decision, LogProbabilities, Scored
from sparklabel.tasks.choices import most_probable, names_of
from sparklabel.tasks.label_options import listed
from sparklabel.tasks.task import Task

MAX_POINTS = 1001
_ROUNDING = 1e-9
"""Tolerance for rounding: a point exactly half a step away counts as within half a step."""


class ScalePoint(BaseModel):
    """A number of the scale, and what it means, for the prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: float
    description: str = ""


def _points(scale: object) -> object:
    """Two whole numbers (low, high), a list of numbers, or a mapping number -> description."""
    if isinstance(scale, Mapping):
        return tuple({"number": _number(number), "description": text or ""} for number, text in scale.items())
    if not isinstance(scale, list | tuple):
        raise ValueError(
            f"{scale!r} is not a scale: give (low, high), a list of numbers, or a mapping number -> text"
        )
    if all(isinstance(point, ScalePoint) for point in scale):
        return scale
    numbers = [_number(point) for point in scale]
    if len(numbers) == 2 and all(number.is_integer() for number in numbers):
        low, high = map(int, numbers)
        if high - low >= MAX_POINTS:
            raise ValueError(f"a scale has at most {MAX_POINTS:,} points")
        # A descending scale is left as it is, for the check that refuses it by name.
        numbers = [float(n) for n in range(low, high + 1)] if low < high else numbers
    return tuple({"number": number} for number in numbers)


def _number(point: Any) -> float:
    """Accepts text too: in JSON, the keys of a mapping are text."""
    try:
        number = float("nan" if isinstance(point, bool) or point is None else point)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not isfinite(number):
        raise ValueError(f"{point!r} is not a number")
    return number


def _ascending(scale: tuple[ScalePoint, ...]) -> tuple[ScalePoint, ...]:
    if not 2 <= len(scale) <= MAX_POINTS:
        raise ValueError(f"a scale has 2 to {MAX_POINTS:,} points, not {len(scale)}")
    for before, after in pairwise(scale):
        if after.number <= before.number:
            raise ValueError(f"{after.number:g} comes after {before.number:g}: a scale must be ascending")
    return scale


Scale = Annotated[tuple[ScalePoint, ...], BeforeValidator(_points), AfterValidator(_ascending)]


class Rating(Task):
    """Which number of `scale`? The value is the expectation over its points, so it may lie between them.

    A scale is (low, high), two whole numbers that include all whole numbers between them; or a list of numbers; or a
    mapping number -> description, which is also how to have only two points with whole numbers between them. `prior` is
    that of `Classification`.
    """

    kind: Literal["rating"] = "rating"
    scale: Scale
    prior: Literal["content_free"] | None = None

    @model_validator(mode="after")
    def _examples_are_points(self) -> "Rating":
        for example in self.examples:
            if isinstance(example.answer, bool) or example.answer not in self.points:
                raise ValueError(
                    f"an example is answered {example.answer!r}, which is not a number of the scale"
                )
        return self

    @property
    def points(self) -> tuple[int | float, ...]:
        """The numbers of the scale; whole numbers are int."""
        return tuple(_plain(point.number) for point in self.scale)

    @property
    def value_type(self) -> str:
        return "DOUBLE"

    @property
    def answer_mode(self) -> Scored:
        """The expectation. A stored number stands for the nearest point."""
        chosen = partial(_nearest, self.points)
        return Scored(
            choices=self.points, verbalized=tuple(map(self.verbalize, self.points)),
            decide=partial(_expected, self.points),
            chosen=chosen, categories=partial(names_of, self.points, chosen), metrics="rating",
            prior_correction=self.prior is not None, ordinal=True,
        )  # fmt: skip

    def question(self) -> str:
        """The instructions, then the scale: its numbers on one line, or one per line if any is described."""
        options = [(self.verbalize(point.number), point.description) for point in self.scale]
        return (
            f"{self.instructions.strip() or 'Rate the text.'}\n"
            f"Answer with exactly one of these numbers:{listed(options)}"
        )

    def verbalize(self, answer: Any) -> str:
        """4.0 becomes "4"."""
        return str(_plain(answer))

    def to_dict(self) -> dict[str, Any]:
        """The scale in the shortest of its forms."""
        return super().to_dict() | {"scale": self._written_scale()}

    def _written_scale(self) -> list[int | float] | dict[int | float, str]:
        points = list(self.points)
        if any(point.description for point in self.scale):
            return {_plain(point.number): point.description for point in self.scale}
        whole = all(isinstance(point, int) for point in points)
        if whole and points[-1] - points[0] == len(points) - 1:
            return [points[0], points[-1]]
        # As a list, these two would include the numbers between them.
        return dict.fromkeys(points, "") if whole and len(points) == 2 else points


def _plain(number: float) -> int | float:
    return int(number) if float(number).is_integer() else float(number)


def _expected(points: Sequence[float], log_p: LogProbabilities) -> Decision:
    """The expectation. Its confidence is the probability within half a step of it. If the steps of the scale differ,
    the smallest one counts, so that no point is taken for its neighbor; far from every point the confidence is 0."""
    numbers, shares = np.asarray(points, dtype=np.float64), np.exp(log_p)
    # Rounding must not leave the scale: a value outside it is not an answer.
    value = float(np.clip(shares @ numbers, numbers[0], numbers[-1]))
    near = np.abs(numbers - value) <= np.diff(numbers).min() / 2 + _ROUNDING
    best = most_probable([float(number) for number in points], log_p)
    return Decision(value, min(1.0, float(shares[near].sum())), best.alternatives)


def _nearest(points: Sequence[float], value: Any) -> tuple[int, ...]:
    """The index of the nearest point, the lower one in a tie. Empty for a value outside the scale."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not points[0] <= value <= points[-1]:
        return ()
    return (int(np.argmin(np.abs(np.asarray(points, dtype=np.float64) - value))),)
