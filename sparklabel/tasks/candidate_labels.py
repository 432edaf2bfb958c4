"""What a row is offered of a long list of choices: as many as a prompt can hold, those nearest to the row.

In: all choices, as a model reads them. Out: the text that lists some of them. Which of them is not decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sparklabel.tasks.label_options import listed


@dataclass(frozen=True, slots=True)
class CandidateLabels:
    """`count` of the L `options`, each with its description (maybe empty), for every row."""

    count: int
    options: tuple[tuple[str, str], ...]

    @property
    def meanings(self) -> list[str]:
        """[L]: what an encoder reads of each."""
        return [f"{spoken}: {description}" if description else spoken for spoken, description in self.options]

    def text(self, choices: Sequence[int]) -> str:
        """The list of these choices, by their numbers, in order."""
        return f"Labels:{listed([self.options[number] for number in choices])}"
