"""Examples for prompts, taken from people's answers: which may be shown, which are, and what travels to the workers."""

from sparklabel.few_shot.answers import LONGEST, MOST_ANSWERS, Answered, Candidate, ShownExample, candidates
from sparklabel.few_shot.choice import Encoder, Neighbours, most_diverse
from sparklabel.few_shot.examples import ExampleSet, example_set

__all__ = [
    "LONGEST",
    "MOST_ANSWERS",
    "Answered",
    "Candidate",
    "Encoder",
    "ExampleSet",
    "Neighbours",
    "ShownExample",
    "candidates",
    "example_set",
    "most_diverse",
]
