"""The promotion gate: may a new model replace the one that is served?

In: per held-out human answer, whether the new and the old model got it right. Out: a `GateResult` with a
verdict and a sentence. Also the one definition of which rows are held out. It runs no model and reads no
table.
"""

import hashlib
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

HELD_OUT_SHARE = 0.2
MINIMUM_ANSWERS = 100
_RESAMPLES = 10_000

Verdict = Literal["promoted", "rejected", "inconclusive"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict over `n` held-out answers, and `reason`, a sentence for people.

    `gain` is accuracy_new - accuracy_old, between `lower95` and `upper95`. The figures are NaN when `n` is 0.
    """

    n: int
    accuracy_new: float
    accuracy_old: float
    gain: float
    lower95: float
    upper95: float
    verdict: Verdict
    reason: str


def is_held_out(text_inputs: Sequence[str | None], share: float = HELD_OUT_SHARE) -> bool:
    """True where a row's answer judges models and never trains them: about `share` of distinct inputs.

    A fixed hash of the normalised inputs, so it is the same in every round, on every machine, and for inputs
    that differ only in case, blanks or Unicode form. What is held out at a share is held out at every larger
    one.
    """
    digest = hashlib.sha256(b"sparklabel held-out v1:")
    for text in text_inputs:
        data = None if text is None else normalised(text).encode("utf-8", "surrogatepass")
        # Lengths keep ("ab", "c") apart from ("a", "bc"), and NULL from "".
        digest.update(b"N" if data is None else b"S%d:" % len(data) + data)
    return int.from_bytes(digest.digest()[:8]) < share * 2**64


def normalised(text: str) -> str:
    """Compatibility characters, case and runs of blanks made equal."""
    # Folding can undo NFKC, so that comes again.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def judge(
    correct_new: Sequence[bool],
    correct_old: Sequence[bool],
    minimum: int = MINIMUM_ANSWERS,
    *,
    opponent: str = "the champion",
    share: float = HELD_OUT_SHARE,
) -> GateResult:
    """Compares two models on the same held-out human answers, row by row; a failed row is not correct.

    `promoted` when the two-sided 95% interval of the gain (paired bootstrap, 10,000 resamples, percentiles
    2.5 and 97.5, fixed seed) lies above 0; `rejected` when it lies below; else, or with fewer than `minimum`
    answers, `inconclusive`. Two-sided, since a gate that is tried every night needs the stricter test: a
    model that is no better passes in at most 2.3% of rounds (simulated, 100 to 1,000 answers). `opponent` is
    named in the reason; `share` serves only to say how many more answers people have to give.
    """
    new, old = np.asarray(correct_new, dtype=bool), np.asarray(correct_old, dtype=bool)
    if new.shape != old.shape:
        raise ValueError("correct_new and correct_old differ in length")
    n, gain = len(new), new.mean() - old.mean() if len(new) else math.nan
    lower, upper = _gain_interval(int((new & ~old).sum()), int((old & ~new).sum()), n)
    accuracies = (float(new.mean()), float(old.mean())) if n else (math.nan, math.nan)
    if n < minimum:
        verdict, reason = _too_few(n, minimum, share)
    else:
        verdict, reason = _verdict(n, float(gain), lower, upper, opponent)
    return GateResult(n, *accuracies, float(gain), lower, upper, verdict, reason)


def _gain_interval(gained: int, lost: int, n: int) -> tuple[float, float]:
    """The 95% interval of the gain when `gained` rows became right and `lost` became wrong.

    Resampling rows with replacement only changes how often each of three kinds of row is drawn: the counts of
    a resample are multinomial, and drawing those is the paired bootstrap itself.
    """
    if not n:
        return math.nan, math.nan
    shares = [gained / n, lost / n, (n - gained - lost) / n]
    counts = np.random.default_rng(0).multinomial(n, shares, size=_RESAMPLES)
    lower, upper = np.percentile((counts[:, 0] - counts[:, 1]) / n, (2.5, 97.5))
    return float(lower), float(upper)


def _too_few(n: int, minimum: int, share: float) -> tuple[Verdict, str]:
    missing = minimum - n
    return "inconclusive", (
        f"Only {n} held-out answers: {missing} more are needed, which takes about "
        f"{math.ceil(missing / share)} more human answers, since {share:.0%} of them are held out."
    )


def _verdict(n: int, gain: float, lower: float, upper: float, opponent: str) -> tuple[Verdict, str]:
    seen = (
        f"{100 * gain:+.1f} points against {opponent} on {n} held-out answers "
        f"(95% interval {100 * lower:+.1f} to {100 * upper:+.1f})"
    )
    if lower > 0:
        return "promoted", f"Better: {seen}."
    if upper < 0:
        return "rejected", f"Worse: {seen}."
    return "inconclusive", f"It could be chance: {seen}."
