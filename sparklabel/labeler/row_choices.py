"""The choices that each row is offered, where the list of all would be too long: those nearest to it in meaning.

In: rows. Out: an `Offer` each, the nearest choice first. The sentence encoder is loaded with the first rows; the
choices are embedded once.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

from sparklabel.embeddings import sentence_encoder
from sparklabel.few_shot import Encoder, Neighbours
from sparklabel.prompts import Offer
from sparklabel.tasks import Offering


class RowChoices:
    """Chooses from what the task offers; `open_encoder` gives the encoder that reads rows and choices."""

    def __init__(self, offering: Offering, open_encoder: Callable[[], Encoder] = sentence_encoder) -> None:
        self._offering, self._open_encoder = offering, open_encoder

    def of(self, rows: Sequence[Sequence[str]]) -> list[Offer]:
        """Raises SetupError or ModelError where this host cannot embed."""
        if not rows:
            return []
        found = [numbers[::-1] for numbers in self._neighbours.nearest(rows, self._offering.count)]
        return [Offer(self._offering.text(numbers), tuple(numbers)) for numbers in found]

    @cached_property
    def _neighbours(self) -> Neighbours:
        encoder = self._open_encoder()
        return Neighbours([], encoder.embed(self._offering.meanings), encoder)
