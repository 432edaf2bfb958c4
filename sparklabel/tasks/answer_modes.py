"""How kinds are answered. There is one way so far: scored, among choices that are fixed beforehand, each of which a
model gives a probability.

In: log-probabilities of the choices. Out: the value that a table holds, its confidence, its alternatives; and for a
stored value, which choices it says. Nothing here knows of tokens, prompts or models.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.labels import Alternative

MOST_ALTERNATIVES = 5

LogProbabilities = NDArray[np.float64]
"""[L]: one for each choice, in order; the probabilities sum to 1."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What log-probabilities come to: `confidence` is the probability of `value`, in [0, 1]; `alternatives` are the
    best five, most probable first."""

    value: Any
    confidence: float
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The answer mode of a scored kind, with L choices.

    `choices` are told apart by what they are in a table or a card, so they must survive JSON; `spoken`, parallel, is
    what a model writes for each. `decide` makes an answer of log-probabilities. `chosen` gives the numbers of the
    choices that a stored value says, most kinds one; none where the task does not accept it: it counts a person's
    answers, trains on them, and an answer of a model is right where it says the same choices. `metrics` names the
    measures in evaluation/rows.py. With `prior_correction` a zero-shot model's lean to some choices is corrected.
    """

    choices: tuple[Any, ...]
    spoken: tuple[str, ...]
    decide: Callable[[LogProbabilities], Decision]
    chosen: Callable[[Any], tuple[int, ...]]
    metrics: str
    prior_correction: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The choices as messages and counts name them."""
        return tuple(map(str, self.choices))

    def counts(self, values: Iterable[Any]) -> dict[str, int]:
        """How often stored values say each choice that occurs, most frequent first, by name."""
        names = self.names
        return dict(Counter(names[n] for value in values for n in self.chosen(value)).most_common())


def most_probable(choices: Sequence[Any], log_p: LogProbabilities) -> Decision:
    """The most probable choice, with its probability; equal ones in order."""
    best = np.argsort(-log_p, kind="stable")[:MOST_ALTERNATIVES]
    alternatives = tuple(Alternative(choices[i], float(np.exp(log_p[i]))) for i in best)
    return Decision(alternatives[0].value, alternatives[0].probability, alternatives)


def the_choice(choices: Sequence[Any], value: Any) -> tuple[int, ...]:
    """The number of the choice that `value` is."""
    return (choices.index(value),) if value in choices else ()


def one_of(
    choices: tuple[Any, ...], spoken: tuple[str, ...], *, metrics: str, prior_correction: bool = False
) -> Scored:
    """The mode of a kind whose value is one of its choices: the most probable one."""
    return Scored(
        choices=choices, spoken=spoken, decide=partial(most_probable, choices), chosen=partial(the_choice, choices),
        metrics=metrics, prior_correction=prior_correction,
    )  # fmt: skip
