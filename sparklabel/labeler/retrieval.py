"""What each row gets of its own: the most similar examples, the nearest choices."""

from collections.abc import Callable, Sequence
from functools import cached_property

from sparklabel.few_shot import Encoder, ExampleSet, Neighbours
from sparklabel.models.shipped_encoder import sentence_encoder
from sparklabel.prompts import Candidates, example_text
from sparklabel.tasks import CandidateLabels, Task


class RowChoices:
    """Chooses from what the task offers; `open_encoder` gives the encoder that reads rows and choices."""

    def __init__(
        self, offering: CandidateLabels, open_encoder: Callable[[], Encoder] = sentence_encoder
    ) -> None:
        self._offering, self._open_encoder = offering, open_encoder

    def of(self, rows: Sequence[Sequence[str]]) -> list[Candidates]:
        """Raises SetupError or ModelError where this host cannot embed."""
        if not rows:
            return []
        found = [numbers[::-1] for numbers in self._neighbours.nearest(rows, self._offering.count)]
        return [Candidates(self._offering.text(numbers), tuple(numbers)) for numbers in found]

    @cached_property
    def _neighbours(self) -> Neighbours:
        encoder = self._open_encoder()
        return Neighbours([], encoder.embed(self._offering.meanings), encoder)


class RowExamples:
    """Chooses from a set; `open_encoder` gives the encoder that made its vectors."""

    def __init__(
        self, task: Task, examples: ExampleSet, open_encoder: Callable[[], Encoder] = sentence_encoder
    ) -> None:
        self._examples, self._open_encoder = examples, open_encoder
        self._texts = [example_text(task, example) for example in examples.shown]

    def of(self, rows: Sequence[Sequence[str]]) -> list[list[str]]:
        """For each row the texts of its examples. Raises SetupError or ModelError where this host cannot embed it."""
        if not rows or not self._texts:
            return [[] for _ in rows]
        found = self._neighbours.nearest(rows, self._examples.source.count)
        return [[self._texts[position] for position in positions] for positions in found]

    @cached_property
    def _neighbours(self) -> Neighbours:
        return self._examples.neighbours(self._open_encoder())
