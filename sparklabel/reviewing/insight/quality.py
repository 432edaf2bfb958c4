"""How good a model's labels are, by people's answers: what the page about quality shows.

In: rows that people answered, each with what the model had said. Out: a frozen `Quality`. Only audited rows judge how
right a model is: they were drawn at random and shown without its suggestion. No Spark, no charts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparklabel.annotator_agreement import alpha, pairwise_kappas
from sparklabel.evaluation.metrics.confidence import (
    calibration_error,
    confidence_auroc,
)
from sparklabel.intervals import Interval, wilson_interval
from sparklabel.reviewing.records import ANSWER, AUDIT, Event
from sparklabel.reviewing.resolve import by_input, canonical, resolve
from sparklabel.tasks import AnswerMode

BINS = 10
_WORST = 15
_THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_LONGEST_SECONDS = 120.0
"""Seconds of an answer that count: who went away was not answering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedLabel:
    """A person's answer beside the model's for the same row.

    Attributes:
        value: The person's.
        model_value: The model's; its best guess if that was withheld.
        confidence: The model's, calibrated if a calibrator was fitted.
        model: The identity of the version that answered.
        labeled_at: When it answered, ISO 8601.
        reason: Why the row was shown, "audit" or "queue"; None for an answer that was not given in the app.
    """

    value: Any
    model_value: Any
    confidence: float | None
    model: str
    labeled_at: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionQuality:
    """A model version on the audited rows that it answered: how many are right, with Wilson's 95% interval, the
    calibration error and the AUROC of its confidence (None without confidences, or if all are right)."""

    model: str
    since: str
    n: int
    right: int
    interval: Interval
    ece: float | None
    auroc: float | None

    @property
    def accuracy(self) -> float:
        return self.right / self.n


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows whose confidence is in [low, high): their number, mean confidence and accuracy."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often people said `value` where the model said `model_value`, as text."""

    value: str
    model_value: str
    n: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """If only labels with at least this confidence stood: which share of rows that is, and how many of them are
    right (None without any)."""

    threshold: float
    share: float
    accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What answers took. `seconds`: the median of one. `per_wrong_label`: seconds of people's time for each label that
    they put right; None if there is none."""

    answers: int
    seconds: float | None
    minutes: float
    per_wrong_label: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What `quality` found. `versions` are in the order in which they labeled; the other figures are of the newest one.

    Attributes:
        audited: Rows that judge.
        alpha: Krippendorff's, of all rows that two people answered; None without such rows, or without a difference.
        pairs: Cohen's kappa of each two people, and how many rows they share.
    """

    audited: int
    versions: tuple[VersionQuality, ...]
    reliability: tuple[ReliabilityBin, ...]
    confusions: tuple[Confusion, ...]
    coverage: tuple[Coverage, ...]
    alpha: float | None
    pairs: tuple[tuple[str, str, float | None, int], ...]
    effort: Effort


def quality(mode: AnswerMode, judged: Iterable[JudgedLabel], events: Sequence[Event]) -> Quality:
    """The figures of a task.

    Args:
        mode: How the task is answered.
        judged: Rows that people answered and a model was asked about.
        events: What people did, in order.
    """
    rows = list(judged)
    audited = [row for row in rows if row.reason == AUDIT]
    by_model: dict[str, list[JudgedLabel]] = {}
    for row in sorted(audited, key=lambda one: one.labeled_at):
        by_model.setdefault(row.model, []).append(row)
    newest = list(by_model.values())[-1] if by_model else []
    votes = [resolve(own).votes for own in by_input(events).values()]
    return Quality(
        audited=len(audited),
        versions=tuple(_version(mode, model, own) for model, own in by_model.items()),
        reliability=reliability(mode, newest),
        confusions=_confusions(mode, newest),
        coverage=_coverage(mode, newest),
        alpha=alpha([canonical(value) for value in said.values()] for said in votes),
        pairs=tuple(
            (one, other, found, n)
            for (one, other), (found, n) in pairwise_kappas(
                {who: canonical(value) for who, value in said.items()} for said in votes
            ).items()
        ),
        effort=_effort(mode, rows, events),
    )


def reliability(mode: AnswerMode, rows: Sequence[JudgedLabel]) -> tuple[ReliabilityBin, ...]:
    """Rows with a confidence in `BINS` bins of equal width; empty bins are left out."""
    confidence, right = _judged(mode, rows)
    numbers = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return tuple(
        ReliabilityBin(
            number / BINS, (number + 1) / BINS, int(own.sum()), float(confidence[own].mean()), float(right[own].mean())
        )
        for number in range(BINS)
        if (own := numbers == number).any()
    )  # fmt: skip


def _judged(mode: AnswerMode, rows: Sequence[JudgedLabel]) -> tuple[Any, Any]:
    """Of rows with a confidence: it, and how right the model was, as arrays."""
    known = [row for row in rows if row.confidence is not None]
    confidence = np.array([row.confidence for row in known], dtype=np.float64)
    return confidence, np.array(
        [mode.agreement(row.value, row.model_value) for row in known], dtype=np.float64
    )


def _version(mode: AnswerMode, model: str, rows: Sequence[JudgedLabel]) -> VersionQuality:
    right = sum(mode.agreement(row.value, row.model_value) == 1 for row in rows)
    confidence, shares = _judged(mode, rows)
    return VersionQuality(
        model=model, since=min(row.labeled_at for row in rows), n=len(rows), right=right,
        interval=wilson_interval(right, len(rows)), ece=calibration_error(confidence, shares),
        auroc=confidence_auroc(confidence, shares == 1),
    )  # fmt: skip


def _confusions(mode: AnswerMode, rows: Sequence[JudgedLabel]) -> tuple[Confusion, ...]:
    """The pairs of labels that the model confuses most; of kinds without labels none."""
    pairs = Counter(
        (", ".join(mode.categories(row.value)), ", ".join(mode.categories(row.model_value)))
        for row in rows
        if mode.agreement(row.value, row.model_value) < 1
    )
    return tuple(
        Confusion(value, said, n) for (value, said), n in pairs.most_common(_WORST) if value and said
    )


def _coverage(mode: AnswerMode, rows: Sequence[JudgedLabel]) -> tuple[Coverage, ...]:
    confidence, right = _judged(mode, rows)
    if not len(confidence):
        return ()
    return tuple(
        Coverage(least, float(stand.mean()), float(right[stand].mean()) if stand.any() else None)
        for least in _THRESHOLDS
        for stand in [confidence >= least]
    )


def _effort(mode: AnswerMode, rows: Sequence[JudgedLabel], events: Sequence[Event]) -> Effort:
    took = [
        min(event.seconds, _LONGEST_SECONDS)
        for event in events
        if event.kind == ANSWER and event.seconds is not None
    ]
    put_right = sum(row.reason is not None and mode.agreement(row.value, row.model_value) < 1 for row in rows)
    return Effort(
        answers=len(took), seconds=float(np.median(took)) if took else None, minutes=sum(took) / 60,
        per_wrong_label=sum(took) / put_right if took and put_right else None,
    )  # fmt: skip
