"""Which rows have a label that the live probe finds unlikely.

In: the probe's scores, the label that each row has: a person's, or the model's. Out: hashes, the most suspicious first.
It is for tasks with one choice a row. Unlike `sparklabel.reviewing.suspicious`, the probe has learned from the answers
that it doubts here: it finds fewer of those that are wrong, and finds them at once.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.reviewing.probe.scores import Scores
from sparklabel.reviewing.resolve import canonical
from sparklabel.tasks import Scored

ENOUGH = 30
"""Answers that the probe must have learned from."""


def why_none(learned_from: int) -> str | None:
    """Why no row is suspicious yet, in a sentence; None once the probe has learned from enough answers."""
    if learned_from >= ENOUGH:
        return None
    return f"The probe doubts labels once it has learned from {ENOUGH} answers: it has learned from {learned_from}."


class SuspiciousRows:
    """The suspicious rows of one task, found once for each scores.

    Args:
        mode: The task's answer mode.
        label_of: An input hash -> the label that its row has.
    """

    def __init__(self, mode: Any, label_of: Callable[[str], Any]) -> None:
        self._mode, self._label_of = mode, label_of
        self._found: tuple[Scores | None, list[str]] = (None, [])

    def find(self, scores: Scores | None) -> list[str]:
        """The rows by these scores; none before the probe has learned from enough answers."""
        is_possible = isinstance(self._mode, Scored) and not self._mode.groups
        if scores is None or scores.hashes is None or scores.learned_from < ENOUGH or not is_possible:
            return []
        if self._found[0] is not scores:
            order = least_likely(scores, self._choices(scores.hashes))
            self._found = (scores, [scores.hashes[place] for place in order])
        return self._found[1]

    def _choices(self, hashes: tuple[str, ...]) -> NDArray[np.int16]:
        """[N], the number of each row's label; -1 of a row without one."""
        numbers: dict[str, int] = {}
        found = np.full(len(hashes), -1, np.int16)
        for place, name in enumerate(hashes):
            label = self._label_of(name)
            text = canonical(label)
            if text not in numbers:
                numbers[text] = next(iter(self._mode.chosen(label)), -1)
            found[place] = numbers[text]
        return found


def least_likely(scores: Scores, given: NDArray[np.int16]) -> list[int]:
    """The positions of rows whose label is less probable than another choice, by how much. `given` [N] are the numbers
    of their labels, -1 for none. A label that is not among the choices that scores keep counts as impossible."""
    is_given = scores.best == given[:, None]
    probability = np.where(is_given, scores.probability, 0).sum(axis=1)
    other = np.where(is_given, 0, scores.probability).max(axis=1)
    margin = np.where(given >= 0, probability - other, 0)
    order = np.argsort(margin, kind="stable")
    return [int(place) for place in order if margin[place] < 0]
