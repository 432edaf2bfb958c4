"""Candidate labels: those of a long list of labels that a row's prompt shows.

In: all labels, as a model reads them. Out: the text that lists some of them. Which of them is decided elsewhere, by
similarity to the row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sparklabel.tasks.label_options import listed


def meaning(verbalized: str, description: str) -> str:
    """A label's text for an encoder."""
    return f"{verbalized}: {description}" if description else verbalized


@dataclass(frozen=True, slots=True)
class CandidateLabels:
    """Each row's prompt lists `count` of the L `options`, which are pairs (label as a model reads it, description or
    "")."""

    count: int
    options: tuple[tuple[str, str], ...]

    @property
    def meanings(self) -> list[str]:
        """[L]: the text of each label for the encoder that finds the nearest ones."""
        return [meaning(*option) for option in self.options]

    def text(self, choices: Sequence[int]) -> str:
        """The list of these labels, given by their numbers, in this order."""
        return f"Labels:{listed([self.options[number] for number in choices])}"
