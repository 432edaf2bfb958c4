"""How kinds of tasks are answered: by scoring choices that are fixed beforehand, or by generating text under a JSON
schema.

In: log-probabilities of the choices, or the text that a model wrote. Out: the value that a table holds, its
confidence and its alternatives; and which choices or categories a stored value stands for, for counts, training and
evaluation. Nothing here knows tokens, prompts or models.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparklabel.labels.record import Alternative, FieldConfidence
from sparklabel.labels.status import ANSWERED, RETRYABLE
from sparklabel.tasks.candidate_labels import CandidateLabels

LogProbabilities = NDArray[np.float64]
"""[L]: one for each choice, in order; the probabilities of each group of choices sum to 1."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer that log-probabilities give. `confidence` is the agreement with the right answer that is expected, in
    [0, 1]: where an answer is right or wrong, the probability of `value`. `alternatives` are the five most probable
    values, most probable first."""

    value: Any
    confidence: float
    alternatives: tuple[Alternative, ...]
    field_confidence: tuple[FieldConfidence, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The answer mode of a scored kind, with L choices.

    Attributes:
    choices: The choices as tables and manifests hold them. They must survive JSON.
    verbalized: What a model writes for each choice, in the same order.
    groups: The sizes of consecutive groups of choices. Each group is a question of its own, whose probabilities sum
        to 1. Empty: all choices are one group.
    decide: Log-probabilities [L] -> the answer.
    chosen: A stored value -> the numbers of its choices, for most kinds one; none if the task does not accept the
        value. Training learns these, and a model's answer is right if it has the same ones.
    categories: A stored value -> the names that it is counted under; none if the task does not accept the value.
    metrics: The name of the kind's metrics.
    overlap: (gold, value) -> how right another value than `gold` still is, in [0, 1]. Without it such a value is wrong.
    prior_correction: Whether the prior of a model without fine-tuning is corrected.
    ordinal: Whether neighboring choices stand for each other, so that a choice without answers can be learned.
    candidate_labels: If set, each row's prompt for a model without fine-tuning lists only some of the choices.
    """

    choices: tuple[Any, ...]
    verbalized: tuple[str, ...]
    groups: tuple[int, ...] = ()
    decide: Callable[[LogProbabilities], Decision]
    chosen: Callable[[Any], tuple[int, ...]]
    categories: Callable[[Any], tuple[str, ...]]
    metrics: str
    overlap: Callable[[Any, Any], float] | None = None
    prior_correction: bool = False
    ordinal: bool = False
    candidate_labels: CandidateLabels | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The choices, for messages."""
        return tuple(map(str, self.choices))

    @property
    def signature(self) -> tuple[Any, ...]:
        """What a fine-tuned model's answers consist of. The model serves only tasks with an equal one."""
        return self.choices

    def accepts(self, value: Any) -> bool:
        """Whether a stored value is an answer to the task."""
        return bool(self.chosen(value))

    def agreement(self, gold: Any, value: Any) -> float:
        """How right an answer is, in [0, 1]: 1 if it has the same choices as `gold`, otherwise their overlap."""
        if not self.accepts(gold):
            return 0.0
        if self.overlap and self.accepts(value):
            return self.overlap(gold, value)
        return float(self.chosen(gold) == self.chosen(value))


class Span(NamedTuple):
    """A part of a model's text: [start, end) in characters."""

    start: int
    end: int


class WrittenField(NamedTuple):
    """Which parts of a model's text hold the value of a field, for its confidence."""

    field: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """A model's text, parsed. `fields` are those of the value, in order: of a struct its fields, of a list its
    elements, and one that stands for the whole value of other kinds and of an empty list. `dropped` counts the parts
    that were left out because the row's text does not contain them."""

    value: Any
    fields: tuple[WrittenField, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The answer mode of a generated kind.

    Attributes:
    schema: The JSON schema of answers, as text; None for free text.
    max_tokens: The longest answer, in tokens.
    read: A model's text and the row's inputs -> the value. Raises ValueError if the text is not an answer.
    written: A stored value -> the text that a model should write, which training teaches.
    accepts: Whether a stored value is an answer to the task.
    categories: A stored value -> the names that it is counted under.
    agreement: (gold, value) -> how right the value is, in [0, 1].
    field_agreement: (gold, value) -> how right each field of the value is, in [0, 1], in the order of
        `ParsedAnswer.fields`. Both are accepted values.
    signature: What a fine-tuned model's answers consist of. The model serves only tasks with an equal one.
    metrics: The name of the kind's metrics.
    """

    schema: str | None
    max_tokens: int
    read: Callable[[str, Sequence[str]], ParsedAnswer]
    written: Callable[[Any], str]
    accepts: Callable[[Any], bool]
    categories: Callable[[Any], tuple[str, ...]]
    agreement: Callable[[Any, Any], float]
    field_agreement: Callable[[Any, Any], Sequence[float]]
    signature: tuple[str, ...]
    metrics: str


AnswerMode = Scored | Generated


def judged_agreement(mode: AnswerMode, gold: Any, value: Any, status: str | None) -> float | None:
    """How right a label is, in [0, 1]: wrong if the model has no answer, and None if the engine failed, which says
    nothing about the model. `status` is a constant of `sparklabel.labels.status`."""
    if status in RETRYABLE:
        return None
    return mode.agreement(gold, value) if status in ANSWERED else 0.0


def is_one_choice(mode: AnswerMode) -> bool:
    """Whether an answer is one of several choices whose probabilities sum to 1: no expectation, no list, no text."""
    return isinstance(mode, Scored) and not (mode.ordinal or mode.groups)


def one_field(agreement: Callable[[Any, Any], float], gold: Any, value: Any) -> Sequence[float]:
    """The `field_agreement` of a kind whose value is one field."""
    return (agreement(gold, value),)


def counts(mode: AnswerMode, values: Iterable[Any]) -> dict[str, int]:
    """How many of the stored values are in each category, most frequent first."""
    return dict(Counter(name for value in values for name in mode.categories(value)).most_common())
