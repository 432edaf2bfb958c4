"""Drift: whether a pass's answers are distributed unlike those of earlier passes; where there are none, whether nearly
all answers are one label.

In: counts of answers. Out: the population stability index (PSI), and whether it is more than chance. It shows after one
chunk that a model gives the same label to everything, or that the table was filled from another source.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from sparklabel.tasks import Task

ON_DRIFT = ("warn", "stop", "ignore")
MIN_ANSWERS = 50
"""Answers needed on either side."""
_MAJOR = 0.25
"""The usual rule: a PSI above 0.25 is a major shift."""
_LEANING = 0.95
"""From this share on, first answers are nearly all one label."""
_Z = 1.645
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Drift:
    """`index` is the PSI of the counts `before` and `now`."""

    index: float
    before: Mapping[str, int]
    now: Mapping[str, int]

    @property
    def is_major(self) -> bool:
        """Whether the index is above 0.25, and above what equal distributions give in 95% of samples of this size: it
        is distributed as chi-squared with k - 1 degrees of freedom, times 1/n + 1/m (Yurdakul 2018)."""
        freedom = len(self.before.keys() | self.now.keys()) - 1
        by_chance = (freedom + _Z * math.sqrt(2 * freedom)) * (1 / self._before + 1 / self._now)
        return self.index > max(_MAJOR, by_chance)

    def __str__(self) -> str:
        shares = {
            name: (self.before.get(name, 0) / self._before, self.now.get(name, 0) / self._now)
            for name in self.before.keys() | self.now.keys()
        }
        most = sorted(shares, key=lambda name: (-abs(shares[name][1] - shares[name][0]), name))[:_SHOWN]
        told = ", ".join(f"{name} {shares[name][0]:.0%} -> {shares[name][1]:.0%}" for name in most)
        return f"answer distribution shifted from earlier passes (PSI {self.index:.2f}): {told}"

    @property
    def _before(self) -> int:
        return sum(self.before.values())

    @property
    def _now(self) -> int:
        return sum(self.now.values())


@dataclass(frozen=True, slots=True)
class FirstAnswers:
    """What the first answers of a pass tell: their drift from earlier ones, or, where there are too few of these, that
    they lean to one label."""

    drift: Drift | None = None
    leaning: str = ""


def leaning(before: Mapping[str, int], now: Mapping[str, int], task: Task) -> str:
    """A sentence if nearly all answers are one label and there are too few earlier ones to compare them with; else
    empty. It names what helps an untrained model and what the task does not have yet."""
    answers = sum(now.values())
    if sum(before.values()) >= MIN_ANSWERS or answers < MIN_ANSWERS or max(now.values()) < _LEANING * answers:
        return ""
    most, has = max(now, key=lambda name: now[name]), task.to_dict()
    has_examples = has.get("examples") or has.get("examples_from")
    prior = [] if has.get("prior") or has.get("candidates") else ["prior='content_free' in the task"]
    helps = [*prior, *([] if has_examples else ["examples="]), "finetune on people's answers"]
    return (
        f"{now[most] / answers:.0%} of the first {answers:,} answers are {most!r}. An untrained model can lean to one "
        f"label, whatever the texts say: look at some rows. What helps is {' or '.join(helps)}"
    )


def compared(before: Mapping[str, int], now: Mapping[str, int]) -> Drift | None:
    """The drift between two counts of answers; None if there are too few on one side."""
    if sum(before.values()) < MIN_ANSWERS or sum(now.values()) < MIN_ANSWERS:
        return None
    names = sorted(before.keys() | now.keys())
    # Half a count more for each answer keeps the index finite if one is new, or gone.
    shares = [
        [(counts.get(name, 0) + 0.5) / (sum(counts.values()) + 0.5 * len(names)) for name in names]
        for counts in (before, now)
    ]
    return Drift(sum((q - p) * math.log(q / p) for p, q in zip(*shares, strict=True)), before, now)


def answer_counts(records: DataFrame, record: str) -> dict[str, int]:
    """How often models gave each value, in a column of label records; for arrays, each item."""
    answered = records.where(f"{record}.status IN ('ok', 'truncated') AND {record}.source = 'model'")
    values = answered.select(F.col(f"{record}.value").alias("value"))
    if isinstance(values.schema["value"].dataType, ArrayType):
        values = values.select(F.explode("value").alias("value"))
    rows = values.groupBy(F.col("value").cast("string").alias("value")).count().collect()
    return {row["value"]: row["count"] for row in rows if row["value"] is not None}
