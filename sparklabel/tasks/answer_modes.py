"""How kinds are answered: scored, among choices that are fixed beforehand, or generated, under a JSON schema.

In: log-probabilities of the choices, or the text that a model wrote. Out: the value that a table holds, its
confidence, its alternatives; and what a stored value says, for counts, training and judging. Nothing here knows of
tokens, prompts or models. What single kinds need of this is in choices.py and json_values.py.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparklabel.labels.record import Alternative, FieldConfidence
from sparklabel.tasks.candidate_labels import CandidateLabels

LogProbabilities = NDArray[np.float64]
"""[L]: one for each choice, in order; the probabilities of each group of choices sum to 1."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What log-probabilities come to: `confidence` is the probability of `value`, in [0, 1]; `alternatives` are the
    best five, most probable first."""

    value: Any
    confidence: float
    alternatives: tuple[Alternative, ...]
    field_confidence: tuple[FieldConfidence, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The answer mode of a scored kind, with L choices.

    `choices` are told apart by what they are in a table or a card, so they must survive JSON; `spoken`, parallel, is
    what a model writes for each. `groups` are the sizes of consecutive groups of choices, each a question of its own
    whose probabilities sum to 1; empty: one group of all. `decide` makes an answer of log-probabilities. `chosen`
    gives the numbers of the choices that a stored value says, most kinds one; none where the task does not accept it:
    training learns them, and an answer of a model is right where it says the same choices. `said` names what a stored
    value says, for counts; nothing where the task does not accept it. `metrics` names the kind's own measures in
    evaluation/metrics.py. With `prior_correction` a zero-shot model's lean to some choices is corrected. `ordinal`:
    neighbouring choices stand for each other, so a choice that nobody gave can still be learned. With an `offering` an
    untrained model is offered some of the choices only, others for each row.
    """

    choices: tuple[Any, ...]
    verbalized: tuple[str, ...]
    groups: tuple[int, ...] = ()
    decide: Callable[[LogProbabilities], Decision]
    chosen: Callable[[Any], tuple[int, ...]]
    said: Callable[[Any], tuple[str, ...]]
    metrics: str
    prior_correction: bool = False
    ordinal: bool = False
    offering: CandidateLabels | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The choices as messages name them."""
        return tuple(map(str, self.choices))

    @property
    def signature(self) -> tuple[Any, ...]:
        """What a fine-tuned model's answers are made of: it serves no task that has another."""
        return self.choices

    def accepts(self, value: Any) -> bool:
        """Whether a stored value is an answer to the task."""
        return bool(self.chosen(value))

    def agreement(self, gold: Any, value: Any) -> float:
        """How right an answer is, in [0, 1]: here 1 where it says what `gold` says."""
        return float(self.accepts(gold) and self.chosen(gold) == self.chosen(value))


class FieldSpan(NamedTuple):
    """Where in a text the value of a field is written: [start, end) in characters."""

    field: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What a model's text says. `spans` are the parts of the text that hold the value, for its confidence; `dropped`
    counts what was left out of the value, because the row does not hold it."""

    value: Any
    spans: tuple[FieldSpan, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The answer mode of a generated kind.

    `schema` is the JSON schema, as text, that the model's answer is held to; None for free text. `read` makes a value
    of a model's text and the row's inputs, and raises ValueError where it is none; `written` is a stored value as the
    model should write it, what training teaches. `said` names what a stored value says, for counts. `agreement` is how
    right an answer is, in [0, 1]. `signature` is what a fine-tuned model's card compares; `metrics` names the measures
    in evaluation/rows.py.
    """

    schema: str | None
    max_tokens: int
    read: Callable[[str, Sequence[str]], ParsedAnswer]
    written: Callable[[Any], str]
    accepts: Callable[[Any], bool]
    said: Callable[[Any], tuple[str, ...]]
    agreement: Callable[[Any, Any], float]
    signature: tuple[str, ...]
    metrics: str


AnswerMode = Scored | Generated


def counts(mode: AnswerMode, values: Iterable[Any]) -> dict[str, int]:
    """How often stored values say each name, most frequent first."""
    return dict(Counter(name for value in values for name in mode.said(value)).most_common())
