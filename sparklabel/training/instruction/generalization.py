"""How well a model labels tasks that it was taught, and tasks that it was not: for the gate of an instruction tuning.

In: for each task how right the new and the old model were on its held-out rows. Out: a `Generalization` with its
intervals, and a `GateResult`. It runs no model and reads no table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparklabel.training.gate import MINIMUM_ANSWERS, GateResult, Verdict

MINIMUM_UNSEEN = 5
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScores:
    """How right two models are on the rows of one task, each in [0, 1]; None where the engine failed."""

    task: str
    is_unseen: bool
    new: tuple[float | None, ...]
    old: tuple[float | None, ...]

    @property
    def failed(self) -> int:
        """Rows on which an engine failed."""
        return sum(None in pair for pair in zip(self.new, self.old, strict=True))

    @property
    def pairs(self) -> NDArray[np.float64]:
        """[N, 2]: new and old, of the rows on which none failed."""
        asked = [pair for pair in zip(self.new, self.old, strict=True) if None not in pair]
        return np.array(asked, dtype=float).reshape(-1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A task's figures: `n` rows, accuracies in [0, 1], and whether the model was not taught it."""

    task: str
    is_unseen: bool
    n: int
    accuracy_new: float
    accuracy_old: float

    @property
    def gain(self) -> float:
        return self.accuracy_new - self.accuracy_old


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanGain:
    """The mean gain over `tasks` tasks, in [-1, 1], with its 95% interval."""

    tasks: int
    accuracy_new: float
    accuracy_old: float
    gain: float
    lower95: float
    upper95: float

    def __str__(self) -> str:
        return (
            f"{100 * self.gain:+.1f} points over {self.tasks} tasks (95% interval {100 * self.lower95:+.1f} to "
            f"{100 * self.upper95:+.1f}), {self.accuracy_new:.1%} against {self.accuracy_old:.1%}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Generalization:
    """The figures of each task, and their means over tasks. `unseen` is None if no task was held out."""

    tasks: tuple[TaskResult, ...]
    trained: MeanGain
    unseen: MeanGain | None


def generalization(scores: Sequence[TaskScores]) -> Generalization:
    """Each task counts once, however many rows it has.

    The interval of the trained tasks' mean is a paired bootstrap of rows within each task: the tasks are those that the
    model is for. For that of the unseen ones tasks are drawn, too: they stand for others. Both are percentiles 2.5 and
    97.5 of 10,000 resamples with a fixed seed.
    """
    tasks = tuple(
        TaskResult(
            task=one.task, is_unseen=one.is_unseen, n=len(one.pairs), accuracy_new=new, accuracy_old=old
        )
        for one in scores
        if len(one.pairs)
        for new, old in [one.pairs.mean(axis=0).tolist()]
    )
    trained = [one for one in scores if not one.is_unseen and len(one.pairs)]
    random = np.random.default_rng(0)
    draws = [_resampled(one.pairs[:, 0] - one.pairs[:, 1], random) for one in trained]
    others = [one for one in scores if one.is_unseen and len(one.pairs)]
    unseen = None
    if others:
        of_tasks = np.array([_resampled(one.pairs[:, 0] - one.pairs[:, 1], random) for one in others])
        tasks_drawn = random.integers(0, len(others), (len(others), _RESAMPLES))
        drawn = np.take_along_axis(of_tasks, tasks_drawn, axis=0).mean(axis=0)
        unseen = _mean([one for one in tasks if one.is_unseen], drawn)
    return Generalization(
        tasks=tasks, trained=_mean([one for one in tasks if not one.is_unseen], np.mean(draws, axis=0)), unseen=unseen
    )  # fmt: skip


def _resampled(gains: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """[R]: the means of resamples."""
    return np.array([gains[random.integers(0, len(gains), len(gains))].mean() for _ in range(_RESAMPLES)])


def _mean(tasks: Sequence[TaskResult], draws: NDArray[np.float64]) -> MeanGain:
    new, old = (
        float(np.mean([getattr(one, name) for one in tasks])) for name in ("accuracy_new", "accuracy_old")
    )
    lower, upper = np.percentile(draws, [2.5, 97.5]).tolist()
    return MeanGain(
        tasks=len(tasks), accuracy_new=new, accuracy_old=old, gain=new - old, lower95=lower, upper95=upper
    )


def judge_mixture(scores: Sequence[TaskScores], baseline: str) -> tuple[GateResult, Generalization | None]:
    """Promoted if the interval of the trained tasks' mean gain lies above 0, and that of the unseen tasks' does not lie
    below; rejected if either lies below; otherwise inconclusive. Fewer than five unseen tasks are told, and decide
    nothing: they say little of others.

    Args:
        scores: Of each task.
        baseline: What the reason calls the model to beat.
    """
    n = sum(len(one.pairs) for one in scores if not one.is_unseen)
    failed = sum(one.failed for one in scores)
    found = generalization(scores) if n else None
    if found is None or failed or n < MINIMUM_ANSWERS:
        reason = (
            f"The engine failed on {failed} held-out rows, so nothing was decided."
            if failed
            else f"Only {n} held-out answers of the tasks that were taught: {MINIMUM_ANSWERS} are needed."
        )
        return _result(n, found, "inconclusive", reason), found
    trained, unseen = found.trained, found.unseen
    verdict: Verdict = "inconclusive"
    are_enough = unseen is not None and unseen.tasks >= MINIMUM_UNSEEN
    if trained.upper95 < 0 or (unseen is not None and are_enough and unseen.upper95 < 0):
        verdict = "rejected"
    elif trained.lower95 > 0:
        verdict = "promoted"
    words = {"promoted": "Better", "rejected": "Worse", "inconclusive": "The difference could be chance"}
    others = "; no task was held out"
    if unseen:
        few = "" if are_enough else f"; fewer than {MINIMUM_UNSEEN} of them decide nothing"
        others = f"; on tasks that it was not taught {unseen}{few}"
    return _result(n, found, verdict, f"{words[verdict]} than {baseline}: {trained}{others}."), found


def _result(n: int, found: Generalization | None, verdict: Verdict, reason: str) -> GateResult:
    none = (math.nan,) * 5
    mean = found and found.trained
    figures = (mean.accuracy_new, mean.accuracy_old, mean.gain, mean.lower95, mean.upper95) if mean else none
    return GateResult(n, *figures, verdict, reason)
