"""What a person is shown with a row: the model's suggestion, or the probe's, whoever was right more often.

In: rows with the model's labels, scores of the probe, answers. Out: a suggestion with its choices. Each answer judges
both before the probe learns from it. Held-out rows are never suggested anything: that is decided by who asks.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparklabel.labels.status import ANSWERED
from sparklabel.reviewing.asking.answer_values import is_right
from sparklabel.reviewing.probe.scores import Scores, suggestion
from sparklabel.reviewing.records import MODEL, PROBE, ReviewRow
from sparklabel.tasks import MAX_ALTERNATIVES, Scored, Task

REMEMBERED = 100
"""Answers that decide whose suggestions are shown."""
_ENOUGH = 30
"""Answers before the probe's may be."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A value and how sure its author is; for scored kinds up to five choices, most probable first. `by` is "model" or
    "probe"."""

    value: Any
    confidence: float | None
    by: str
    choices: tuple[tuple[Any, float], ...] = ()


class Suggestions:
    """The suggestions of one task."""

    def __init__(self, task: Task) -> None:
        self._mode = task.answer_mode
        self._scores: Scores | None = None
        self._places: dict[str, int] = {}
        self._right: dict[str, deque[bool]] = {
            MODEL: deque(maxlen=REMEMBERED),
            PROBE: deque(maxlen=REMEMBERED),
        }

    @property
    def scores(self) -> Scores | None:
        """The probe's newest."""
        return self._scores

    @property
    def learned_from(self) -> int:
        """How many answers the probe has learned from."""
        return self._scores.learned_from if self._scores else 0

    def right(self, by: str) -> tuple[int, int]:
        """How often the model's or the probe's suggestion was right, and of how many of the last answers."""
        return sum(self._right[by]), len(self._right[by])

    def record(self) -> dict[str, tuple[int, int]]:
        """For model and probe: how often its suggestion was right, and of how many of the last answers."""
        return {by: self.right(by) for by in self._right}

    def take(self, scores: Scores, places: dict[str, int]) -> None:
        """Uses new scores. `places` are the positions of the rows in them, by hash."""
        self._scores, self._places = scores, places

    def judge(self, row: ReviewRow, answer: Any) -> None:
        """Notes whether model and probe are right about an answer that the probe does not know yet."""
        for found in (self.by_model(row), self.by_probe(row)):
            if found is not None:
                self._right[found.by].append(is_right(self._mode, answer, found.value))

    def judged(self, by: str, was_right: bool) -> None:
        """Notes it of an answer whose row is not loaded, by what was shown."""
        self._right[by].append(was_right)

    def of(self, row: ReviewRow) -> Suggestion | None:
        """The suggestion for a row: the model's, unless the probe's are better; None if there is none."""
        model, probe = self.by_model(row), self.by_probe(row)
        return probe if probe and (model is None or self.is_probe_better()) else model

    def by_model(self, row: ReviewRow) -> Suggestion | None:
        """What the model said."""
        label = row.label
        if label.model_value is None and label.status not in ANSWERED:
            return None
        choices = label.alternatives[:MAX_ALTERNATIVES]
        return Suggestion(label.model_value, label.confidence, MODEL, choices)

    def by_probe(self, row: ReviewRow) -> Suggestion | None:
        """What the probe says, once it has learned from enough answers."""
        place = self._places.get(row.input_hash)
        if (
            self._scores is None
            or place is None
            or self.learned_from == 0
            or not isinstance(self._mode, Scored)
        ):
            return None
        found = suggestion(self._mode, self._scores, place)
        return Suggestion(found.value, found.confidence, PROBE, tuple(found.choices))

    def is_probe_better(self) -> bool:
        """Whether its suggestions were right more often on the last answers."""
        if self.learned_from < _ENOUGH:
            return False
        (right, n), (others, m) = self.right(PROBE), self.right(MODEL)
        return n > 0 and right * m > others * n


def places_of(hashes: Sequence[str]) -> dict[str, int]:
    """The position of each row in scores."""
    return {name: place for place, name in enumerate(hashes)}
