"""The promotion gate: may a new model replace the one that is served?

In: per held-out human answer, how right the new and the old model got it, or that it could not be asked. Out: a
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
_RESAMPLES, _BLOCK = 10_000, 500

Verdict = Literal["promoted", "rejected", "inconclusive"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict over `n` held-out answers, and `reason`, a sentence for people.

    Accuracies are means of how right the answers are, each in [0, 1]. `gain` is accuracy_new - accuracy_old, between
    `lower95` and `upper95`. The figures are NaN when `n` is 0.
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
    """Compares two models on the same held-out human answers, row by row: how right each is, in [0, 1]; None where
    the engine failed, which says nothing of a model: such a row is left out, and nothing is decided then.

    `promoted` when the two-sided 95% interval of the gain (paired bootstrap, 10,000 resamples, percentiles
    2.5 and 97.5, fixed seed) lies above 0; `rejected` when it lies below; else, or with fewer than `minimum`
    answers, `inconclusive`. Two-sided, since a gate that is tried every night needs the stricter test: a
    model that is no better passes in at most 2.3% of rounds (simulated, 100 to 1,000 answers). `baseline` is
    named in the reason; `share` serves only to say how many more answers people have to give.
    """
    asked = [pair for pair in zip(new, old, strict=True) if None not in pair]
    ours, theirs = np.array(asked, dtype=float).reshape(-1, 2).T
    n, failed = len(asked), len(new) - len(asked)
    accuracies = (float(ours.mean()), float(theirs.mean())) if n else (math.nan, math.nan)
    gain = accuracies[0] - accuracies[1]
    lower, upper = _gain_interval(ours - theirs)
    if failed:
        verdict: Verdict = "inconclusive"
        reason = f"The engine failed on {failed} of {len(new)} held-out answers, so nothing was decided."
    elif n < minimum:
        verdict, reason = _too_few(n, minimum, share)
    else:
        verdict, reason = _verdict(n, gain, lower, upper, baseline)
    return GateResult(n, *accuracies, gain, lower, upper, verdict, reason)


def _gain_interval(gains: NDArray[np.float64]) -> tuple[float, float]:
    """The 95% interval of the mean of the rows' gains.

    Resampling rows with replacement only changes how often each different gain is drawn: the counts of a resample
    are multinomial, and drawing those is the paired bootstrap itself.
    """
    if not len(gains):
        return math.nan, math.nan
    values, counts = np.unique(gains, return_counts=True)
    random, shares = np.random.default_rng(0), counts / len(gains)
    blocks = (
        random.multinomial(len(gains), shares, size=_BLOCK) @ values for _ in range(_RESAMPLES // _BLOCK)
    )
    lower, upper = np.percentile(np.concatenate(list(blocks)) / len(gains), (2.5, 97.5))
    return float(lower), float(upper)


def _too_few(n: int, minimum: int, share: float) -> tuple[Verdict, str]:
    missing = minimum - n
    return "inconclusive", (
        f"Only {n} held-out answers: {missing} more are needed, which takes about "
        f"{math.ceil(missing / share)} more human answers, since {share:.0%} of them are held out."
    )


def _verdict(n: int, gain: float, lower: float, upper: float, baseline: str) -> tuple[Verdict, str]:
    seen = (
        f"{100 * gain:+.1f} points against {baseline} on {n} held-out answers "
        f"(95% interval {100 * lower:+.1f} to {100 * upper:+.1f})"
    )
    if lower > 0:
        return "promoted", f"Better: {seen}."
    if upper < 0:
        return "rejected", f"Worse: {seen}."
    return "inconclusive", f"It could be chance: {seen}."
