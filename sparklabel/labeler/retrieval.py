"""What each row gets in its own prompt: the most similar examples, the nearest labels.

In: rows, and all examples or labels. Out: text for each row's prompt. How prompts show it is decided in `prompts`.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

from sparklabel.few_shot import Encoder, ExampleSet, Neighbors
from sparklabel.models.shipped_encoder import sentence_encoder
from sparklabel.prompts import RowCandidates, example_text
from sparklabel.tasks import CandidateLabels, Task


class CandidateRetriever:
    """Finds each row's candidate labels; `open_encoder` opens the encoder of rows and labels."""

    def __init__(
        self, labels: CandidateLabels, open_encoder: Callable[[], Encoder] = sentence_encoder
    ) -> None:
        self._labels, self._open_encoder = labels, open_encoder

    def of(self, rows: Sequence[Sequence[str]]) -> list[RowCandidates]:
        """For each row its candidates, in the order of nearness. Raises SetupError or ModelError if this host cannot
        embed texts."""
        if not rows:
            return []
        found = [numbers[::-1] for numbers in self._neighbors.nearest(rows, self._labels.count)]
        return [RowCandidates(self._labels.text(numbers), tuple(numbers)) for numbers in found]

    @cached_property
    def _neighbors(self) -> Neighbors:
        encoder = self._open_encoder()
        return Neighbors([], encoder.embed(self._labels.meanings), encoder)


class ExampleRetriever:
    """Finds each row's examples in a set; `open_encoder` opens the encoder that made its vectors."""

    def __init__(
        self, task: Task, examples: ExampleSet, open_encoder: Callable[[], Encoder] = sentence_encoder
    ) -> None:
        self._examples, self._open_encoder = examples, open_encoder
        self._texts = [example_text(task, example) for example in examples.shown]

    def of(self, rows: Sequence[Sequence[str]]) -> list[list[str]]:
        """For each row the texts of its examples. Raises SetupError or ModelError if this host cannot embed texts."""
        if not rows or not self._texts:
            return [[] for _ in rows]
        found = self._neighbors.nearest(rows, self._examples.source.count)
        return [[self._texts[position] for position in positions] for positions in found]

    @cached_property
    def _neighbors(self) -> Neighbors:
        return self._examples.neighbors(self._open_encoder())
