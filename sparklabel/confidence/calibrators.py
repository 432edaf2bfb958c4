"""Calibrators: from the probability that a model gives its answer to the probability that the answer is right.

In: a label's own probability and its alternatives. Out: a confidence in [0, 1], the same from Python and from SQL, so
that a table's confidence can be computed anew without a model. A calibrator never changes which answer is given.
Fitting is in evaluation/fitting.py.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparklabel.labels.record import Alternative

_TINY, _SAME, _NEAR = 1e-12, 1e-9, 1e-6


@dataclass(frozen=True, slots=True)
class Temperature:
    """Temperature scaling: p ** (1 / T), normalised (Guo et al. 2017, arXiv:1706.04599).

    Over the alternatives, and what they leave over as one more, where the probability is that of the first of them;
    otherwise (a rating, a written answer) over the answer and all else.
    """

    temperature: float

    def __str__(self) -> str:
        return f"temperature {self.temperature:.3g}"

    def confidence(self, raw: float, others: Sequence[float]) -> float:
        """`others` are the probabilities of all but the answer, as `others_of` gives them."""
        powers = [max(p, 0.0) ** (1 / self.temperature) for p in (max(raw, _TINY), *others)]
        return powers[0] / sum(powers)

    def sql(self, label: str) -> str:
        power, tiny = 1 / self.temperature, _TINY
        alternatives = f"{label}.alternatives"
        own = f"pow(greatest({label}.raw_confidence, {tiny}), {power!r})"
        left = f"1 - aggregate({alternatives}, 0D, (s, a) -> s + a.probability)"
        rest = f"if({left} < {_SAME}, 0D, {left})"
        beside = (
            f"if(coalesce(abs(get({alternatives}, 0).probability - {label}.raw_confidence) < {_SAME}, false), "
            f"aggregate(slice({alternatives}, 2, 100), pow({rest}, {power!r}), "
            f"(s, a) -> s + pow(a.probability, {power!r})), "
            f"pow(greatest(1 - {label}.raw_confidence, 0D), {power!r}))"
        )
        return f"{own} / ({own} + {beside})"

    def to_dict(self) -> dict[str, Any]:
        return {"method": "temperature", "temperature": self.temperature}


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Isotonic regression: a line through K points, rising in both, flat beyond them (Zadrozny and Elkan 2002,
    doi:10.1145/775047.775151)."""

    raw: tuple[float, ...]
    confidences: tuple[float, ...]

    def __str__(self) -> str:
        return f"isotonic regression through {len(self.raw)} points"

    def confidence(self, raw: float, others: Sequence[float]) -> float:
        after = bisect_right(self.raw, raw)
        if after in (0, len(self.raw)):
            return self.confidences[min(after, len(self.raw) - 1)]
        (x0, x1), (y0, y1) = self.raw[after - 1 : after + 1], self.confidences[after - 1 : after + 1]
        return y0 + (y1 - y0) * (raw - x0) / (x1 - x0)

    def sql(self, label: str) -> str:
        p = f"{label}.raw_confidence"
        pieces = [f"WHEN {p} < {self.raw[0]!r} THEN {self.confidences[0]!r}D"]
        for i in range(len(self.raw) - 1):
            (x0, x1), (y0, y1) = self.raw[i : i + 2], self.confidences[i : i + 2]
            pieces.append(f"WHEN {p} < {x1!r} THEN {y0!r}D + ({p} - {x0!r}D) * {(y1 - y0) / (x1 - x0)!r}D")
        return f"CASE WHEN {p} IS NULL THEN NULL {' '.join(pieces)} ELSE {self.confidences[-1]!r}D END"

    def to_dict(self) -> dict[str, Any]:
        return {"method": "isotonic", "raw": list(self.raw), "confidences": list(self.confidences)}


@dataclass(frozen=True, slots=True)
class Platt:
    """Platt scaling: the logistic function of `slope` times the probability's log-odds, plus `intercept` (Platt 1999).
    It takes no notice of alternatives."""

    slope: float
    intercept: float

    def __str__(self) -> str:
        return f"Platt scaling, {self.slope:.3g} x log-odds {self.intercept:+.3g}"

    def confidence(self, raw: float, others: Sequence[float]) -> float:
        # Beyond 700 exp overflows, and the confidence is 0 to all digits: SQL's exp is infinite there.
        return 1 / (1 + math.exp(min(-(self.slope * logit(raw) + self.intercept), 700)))

    def sql(self, label: str) -> str:
        p = f"least(greatest({label}.raw_confidence, {_NEAR!r}D), {1 - _NEAR!r}D)"
        return f"1 / (1 + exp(-({self.slope!r}D * ln({p} / (1 - {p})) + {self.intercept!r}D)))"

    def to_dict(self) -> dict[str, Any]:
        return {"method": "platt", "slope": self.slope, "intercept": self.intercept}


Calibrator = Temperature | Isotonic | Platt


def logit(p: float) -> float:
    """Log-odds, of probabilities a little away from 0 and 1."""
    p = min(max(p, _NEAR), 1 - _NEAR)
    return math.log(p / (1 - p))


def others_of(raw: float, alternatives: Sequence[Alternative] | None) -> list[float]:
    """The probabilities of what else the answer could have been: together with `raw` they sum to 1."""
    if alternatives and abs(alternatives[0].probability - raw) < _SAME:
        rest = [a.probability for a in alternatives[1:]]
        left = 1 - sum(a.probability for a in alternatives)
        return [*rest, left if left >= _SAME else 0.0]  # rounding is no choice
    return [max(1 - raw, 0.0)]


def calibrator_from_json(text: str) -> Calibrator:
    """What `to_dict` gave, as JSON. Raises ValueError for what is none."""
    fields = json.loads(text)
    if fields.get("method") == "temperature" and 0 < fields["temperature"] < math.inf:
        return Temperature(float(fields["temperature"]))
    if fields.get("method") == "isotonic":
        return Isotonic(tuple(fields["raw"]), tuple(fields["confidences"]))
    if fields.get("method") == "platt":
        return Platt(float(fields["slope"]), float(fields["intercept"]))
    raise ValueError(f"{fields.get('method')!r} is no calibrator")
