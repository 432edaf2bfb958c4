"""Calibrators: from the probability that a model gives its answer to the probability that the answer is correct.

In: an answer's own probability and those of its alternatives, or a field's. Out: a confidence in [0, 1], the same from
Python and from SQL, so that a table's confidence can be recomputed without a model. A calibrator never changes an
answer. `fit_calibrator` fits one.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparklabel.labels.record import Alternative, FieldConfidence

_TINY, _SAME, _NEAR = 1e-12, 1e-9, 1e-6
_FIELDS, _RAW = "fields", "raw_confidence"


@dataclass(frozen=True, slots=True)
class Temperature:
    """Temperature scaling: p ** (1 / T), normalized (Guo et al. 2017, arXiv:1706.04599).

    If the answer is the first of its alternatives, it is normalized over these and, as one more, the probability that
    they leave over. Otherwise (a rating, a generated answer) it is normalized over the answer and everything else.
    """

    temperature: float

    def __str__(self) -> str:
        return f"temperature {self.temperature:.3g}"

    def confidence(self, raw: float, others: Sequence[float]) -> float:
        """The calibrated confidence of an answer with the probability `raw`, and of its `other_probabilities`."""
        powers = [max(p, 0.0) ** (1 / self.temperature) for p in (max(raw, _TINY), *others)]
        return powers[0] / sum(powers)

    def sql(self, label: str) -> str:
        power, tiny = 1 / self.temperature, _TINY
        alternatives = f"{label}.alternatives"
        own = f"pow(greatest({label}.raw_confidence, {tiny}), {power!r})"  # `greatest` skips NULL
        left = f"1 - aggregate({alternatives}, 0D, (s, a) -> s + a.probability)"
        rest = f"if({left} < {_SAME}, 0D, {left})"
        beside = (
            f"if(coalesce(abs(get({alternatives}, 0).probability - {label}.raw_confidence) < {_SAME}, false), "
            f"aggregate(slice({alternatives}, 2, 100), pow({rest}, {power!r}), "
            f"(s, a) -> s + pow(a.probability, {power!r})), "
            f"pow(greatest(1 - {label}.raw_confidence, 0D), {power!r}))"
        )
        return f"if({label}.raw_confidence IS NULL, NULL, {own} / ({own} + {beside}))"

    def to_dict(self) -> dict[str, Any]:
        return {"method": "temperature", "temperature": self.temperature}


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Isotonic regression: a line through K points that rises in both coordinates and is flat beyond them (Zadrozny
    and Elkan 2002, doi:10.1145/775047.775151). It ignores alternatives."""

    raw: tuple[float, ...]
    confidences: tuple[float, ...]

    def __str__(self) -> str:
        return f"isotonic regression through {len(self.raw)} points"

    def confidence(self, raw: float, others: Sequence[float]) -> float:
        return float(np.interp(raw, self.raw, self.confidences))

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
    It ignores alternatives."""

    slope: float
    intercept: float

    def __str__(self) -> str:
        return f"Platt scaling, {self.slope:.3g} x log-odds {self.intercept:+.3g}"

    def confidence(self, raw: float, others: Sequence[float]) -> float:
        # Above 700, exp overflows here and is infinite in SQL; the confidence is 0 to all digits either way.
        return 1 / (1 + math.exp(min(-(self.slope * logit(raw) + self.intercept), 700)))

    def sql(self, label: str) -> str:
        raw = f"{label}.raw_confidence"
        p = f"least(greatest({raw}, {_NEAR!r}D), {1 - _NEAR!r}D)"  # which skip NULL
        return f"if({raw} IS NULL, NULL, 1 / (1 + exp(-({self.slope!r}D * ln({p} / (1 - {p})) + {self.intercept!r}D))))"

    def to_dict(self) -> dict[str, Any]:
        return {"method": "platt", "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True, slots=True)
class WithFields:
    """Two calibrators for answers that have fields: a field is right more often than all of the answer is."""

    answer: Temperature | Isotonic | Platt
    fields: Platt

    def __str__(self) -> str:
        return f"{self.answer}; of fields {self.fields}"

    def confidence(self, raw: float, others: Sequence[float]) -> float:
        return self.answer.confidence(raw, others)

    def sql(self, label: str) -> str:
        return self.answer.sql(label)

    def to_dict(self) -> dict[str, Any]:
        return self.answer.to_dict() | {_FIELDS: self.fields.to_dict()}


Calibrator = Temperature | Isotonic | Platt | WithFields


def calibrated_fields(
    calibrator: Calibrator | None, fields: Sequence[FieldConfidence] | None
) -> tuple[FieldConfidence, ...] | None:
    """An answer's fields with their calibrated confidence, which is their own if nothing was fitted to fields."""
    if fields is None or not isinstance(calibrator, WithFields):
        return None if fields is None else tuple(fields)
    return tuple(
        FieldConfidence(field, calibrator.fields.confidence(own, []), own)
        for field, own in ((one.field, own_confidence(one)) for one in fields)
    )


def own_confidence(field: FieldConfidence) -> float:
    """The model's own probability of a field."""
    return field.confidence if field.raw_confidence is None else field.raw_confidence


def fields_sql(calibrator: Calibrator, label: str) -> str:
    """`calibrated_fields` of the label's own probabilities, as SQL."""
    own = f"coalesce(field.{_RAW}, field.confidence)"
    confidence = (
        calibrator.fields.sql(f"named_struct('{_RAW}', {own})") if isinstance(calibrator, WithFields) else own
    )
    return (
        f"transform({label}.field_confidence, field -> named_struct('field', field.field, "
        f"'confidence', {confidence}, '{_RAW}', {own}))"
    )


@dataclass(frozen=True, slots=True)
class FittedCalibrator:
    """A calibrator, and the MLflow run that fitted it."""

    calibrator: Calibrator
    run_id: str


def logit(p: float) -> float:
    """The log-odds of a probability, which is first moved slightly away from 0 and 1."""
    p = min(max(p, _NEAR), 1 - _NEAR)
    return math.log(p / (1 - p))


def other_probabilities(raw: float, alternatives: Sequence[Alternative] | None) -> list[float]:
    """The probabilities of everything that the answer could have been instead; together with `raw` they sum to 1."""
    if alternatives and abs(alternatives[0].probability - raw) < _SAME:
        rest = [a.probability for a in alternatives[1:]]
        left = 1 - sum(a.probability for a in alternatives)
        return [*rest, left if left >= _SAME else 0.0]  # what rounding leaves over is not a choice
    return [max(1 - raw, 0.0)]


def calibrator_from_json(text: str) -> Calibrator:
    """The calibrator whose `to_dict` gave this JSON. Raises ValueError if the JSON is not a calibrator's."""
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError(f"{fields!r} is not a calibrator")
    if of_fields := fields.pop(_FIELDS, None):
        answer, parts = _calibrator(fields), _calibrator(of_fields)
        if not isinstance(parts, Platt):
            raise ValueError(f"{of_fields!r} is not a calibrator of fields")
        return WithFields(answer, parts)
    return _calibrator(fields)


def _calibrator(fields: dict[str, Any]) -> Temperature | Isotonic | Platt:
    if fields.get("method") == "temperature" and 0 < fields["temperature"] < math.inf:
        return Temperature(float(fields["temperature"]))
    if fields.get("method") == "isotonic":
        return Isotonic(tuple(fields["raw"]), tuple(fields["confidences"]))
    if fields.get("method") == "platt":
        return Platt(float(fields["slope"]), float(fields["intercept"]))
    raise ValueError(f"{fields.get('method')!r} is not a calibrator")
