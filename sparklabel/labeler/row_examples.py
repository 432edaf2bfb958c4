"""The examples that each row has of its own: the human answers most alike to it.

In: rows. Out: the text of each one's examples, the nearest last. The sentence encoder is loaded with the first rows,
and not at all where there is nothing to choose from.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

from sparklabel.embeddings import sentence_encoder
from sparklabel.few_shot import Encoder, ExampleSet, Neighbours
from sparklabel.prompts import example_text
from sparklabel.tasks import Task


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
