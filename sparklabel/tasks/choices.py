"""What scored kinds share: from the log-probabilities of choices to an answer, and from a stored value to its
choices."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.labels.record import Alternative
from sparklabel.tasks.answer_modes import Decision, LogProbabilities, Scored
from sparklabel.tasks.candidate_labels import CandidateLabels
from sparklabel.tasks.label_options import label_number

MAX_ALTERNATIVES = 5
_ROUNDING = 1e-9


def most_probable(choices: Sequence[Any], log_p: LogProbabilities) -> Decision:
    """The most probable choice, with its probability. Of equally probable ones, the first.

    Alternatives leave out choices that are not among the row's candidates, which have no probability. They also end
    where a choice whose probability was not computed might be more probable: together these have what is left over.
    """
    best = _smallest(-log_p, MAX_ALTERNATIVES)
    left = 1 - float(np.exp(log_p).sum())
    least = left if left > _ROUNDING else 0.0
    probable = [(i, float(np.exp(log_p[i]))) for i in best]
    alternatives = tuple(
        Alternative(choices[i], p) for n, (i, p) in enumerate(probable) if p > least or n == 0
    )
    return Decision(alternatives[0].value, alternatives[0].probability, alternatives)


def _smallest(values: LogProbabilities, count: int) -> NDArray[np.intp]:
    """The positions of the `count` smallest values, smallest first, and of equal ones the first. Sorting all of 10,000
    would take a millisecond."""
    if len(values) > count:
        few = np.flatnonzero(values <= np.partition(values, count - 1)[count - 1])
        return few[np.argsort(values[few], kind="stable")[:count]]
    return np.argsort(values, kind="stable")


def the_choice(choices: tuple[Any, ...], value: Any) -> tuple[int, ...]:
    """The number of the choice that `value` is; empty if it is none."""
    if isinstance(value, str):
        number = label_number(choices, value)
        return () if number is None else (number,)
    return (choices.index(value),) if value in choices else ()


def names_of(choices: Sequence[Any], chosen: Callable[[Any], tuple[int, ...]], value: Any) -> tuple[str, ...]:
    """The names of the choices that `value` stands for."""
    return tuple(str(choices[number]) for number in chosen(value))


def one_of(
    choices: tuple[Any, ...],
    verbalized: tuple[str, ...],
    *,
    metrics: str,
    prior_correction: bool = False,
    candidate_labels: CandidateLabels | None = None,
) -> Scored:
    """The mode of a kind whose value is its most probable choice."""
    chosen = partial(the_choice, choices)
    return Scored(
        choices=choices, verbalized=verbalized, decide=partial(most_probable, choices), chosen=chosen,
        categories=partial(names_of, choices, chosen), metrics=metrics, prior_correction=prior_correction,
        candidate_labels=candidate_labels,
    )  # fmt: skip
