"""The promotion gate: may a new model replace the one that is served?

In: for each held-out human answer, how right the new and the old model were, or that the engine failed. Out: a
`GateResult` with a verdict and a sentence. It runs no model and reads no table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparklabel.splits import HELD_OUT_SHARE

MINIMUM_ANSWERS = 100
_RESAMPLES = 10_000
_DRAWS_PER_BATCH = 1_000_000
"""Rows drawn at a time by the bootstrap, which bounds its memory."""

Verdict = Literal["promoted", "rejected", "inconclusive"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict on `n` held-out answers, and `reason`, a sentence that explains it.

    Accuracies are the mean of how right the answers are, each in [0, 1]. `gain` is accuracy_new - accuracy_old;
    `lower95` and `upper95` are its 95% interval. All five are NaN if `n` is 0.
    """

    n: int
    accuracy_new: float
    accuracy_old: float
    gain: float
    lower95: float
    upper95: float
    verdict: Verdict
    reason: str


def judge(
    new: Sequence[float | None],
    old: Sequence[float | None],
    minimum: int = MINIMUM_ANSWERS,
    *,
    baseline: str = "the champion",
    share: float = HELD_OUT_SHARE,
) -> GateResult:
    """Compares two models on the same held-out human answers, row by row.

    The gain's interval is a paired bootstrap: two-sided 95%, percentiles 2.5 and 97.5 of 10,000 resamples with a fixed
    seed. A new version is `promoted` if the interval lies above 0 and `rejected` if it lies below. It is
    `inconclusive` if the interval contains 0, if there are fewer than `minimum` answers, or if the engine failed on
    any row. Two-sided, because a gate that runs every night needs the stricter test: a model that is not better passes
    in at most 2.3% of rounds (simulated with 100 to 1,000 answers).

    Args:
        new: How right the new model is on each answer, in [0, 1]. None if the engine failed, which says nothing about
            the model.
        old: The same for the model to beat, in the same order.
        minimum: The fewest answers to decide on.
        baseline: What the reason calls the model to beat.
        share: The share of human answers that is held out. It only serves to say how many more are needed.
    """
    asked = [pair for pair in zip(new, old, strict=True) if None not in pair]
    scores_new, scores_old = np.array(asked, dtype=float).reshape(-1, 2).T
    n, failed = len(asked), len(new) - len(asked)
    accuracies = (float(scores_new.mean()), float(scores_old.mean())) if n else (math.nan, math.nan)
    gain = accuracies[0] - accuracies[1]
    lower, upper = _gain_interval(scores_new - scores_old) if n > 1 else (gain, gain)
    if failed:
        verdict: Verdict = "inconclusive"
        reason = f"The engine failed on {failed} of {len(new)} held-out answers, so nothing was decided."
    elif n < minimum:
        verdict, reason = _too_few(n, minimum, share)
    else:
        verdict, reason = _verdict(n, gain, lower, upper, baseline)
    return GateResult(n, *accuracies, gain, lower, upper, verdict, reason)


def _gain_interval(gains: NDArray[np.float64]) -> tuple[float, float]:
    """The 95% interval of the mean of at least two rows' gains: resampling gains is the paired bootstrap."""
    from scipy.stats import bootstrap

    resampled = bootstrap(
        (gains,),
        np.mean,
        n_resamples=_RESAMPLES,
        batch=max(1, _DRAWS_PER_BATCH // len(gains)),
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(resampled.confidence_interval.low), float(resampled.confidence_interval.high)


def _too_few(n: int, minimum: int, share: float) -> tuple[Verdict, str]:
    missing = minimum - n
    return "inconclusive", (
        f"Only {n} held-out answers: {missing} more are needed, which takes about "
        f"{math.ceil(missing / share)} more human answers, because {share:.0%} of them are held out."
    )


def _verdict(n: int, gain: float, lower: float, upper: float, baseline: str) -> tuple[Verdict, str]:
    found = (
        f"{100 * gain:+.1f} points against {baseline} on {n} held-out answers "
        f"(95% interval {100 * lower:+.1f} to {100 * upper:+.1f})"
    )
    if lower > 0:
        return "promoted", f"Better: {found}."
    if upper < 0:
        return "rejected", f"Worse: {found}."
    return "inconclusive", f"The difference could be chance: {found}."
