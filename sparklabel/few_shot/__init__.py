"""Examples for prompts, taken from human answers: which may be shown, which are shown, and what workers receive."""

from sparklabel.few_shot.candidates import (
    LONGEST,
    MAX_ANSWERS,
    AnsweredInput,
    Candidate,
    ShownExample,
    candidates,
)
from sparklabel.few_shot.example_set import ExampleSet, example_set
from sparklabel.few_shot.selection import Encoder, Neighbors, most_diverse

__all__ = [
    "LONGEST",
    "MAX_ANSWERS",
    "AnsweredInput",
    "Candidate",
    "Encoder",
    "ExampleSet",
    "Neighbors",
    "ShownExample",
    "candidates",
    "example_set",
    "most_diverse",
]
