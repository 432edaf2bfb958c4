"""Multilabel: which of these labels apply? For every label, yes and no are scored; the value is a list of labels.

The questions are independent. The prompt is read once, and each label continues it with its own "label: yes" and
"label: no", a group of choices whose probabilities sum to 1.
"""

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator, model_validator

from sparklabel.labels.record import Alternative, FieldConfidence
from sparklabel.tasks.answer_modes import Decision, LogProbabilities, Scored
from sparklabel.tasks.choices import MAX_ALTERNATIVES
from sparklabel.tasks.comparison import f1
from sparklabel.tasks.label_options import (
    LabelOptions,
    as_written,
    label_named,
    label_number,
    listed,
    verbalize_label,
)
from sparklabel.tasks.task import Example, Task

NONE_OF_THEM = "none of them"
"""The category of a row to which no label applies."""

_YES, _NO = ": yes", ": no"


class Multilabel(Task):
    """Which of `labels`? The value is the list of those that apply, in their order; it may be empty.

    `prior="content_free"` divides the probabilities of each label's yes and no by those for an empty input.
    """

    kind: Literal["multilabel"] = "multilabel"
    labels: LabelOptions
    prior: Literal["content_free"] | None = None

    @field_validator("examples")
    @classmethod
    def _answers_are_lists(cls, examples: tuple[Example, ...]) -> tuple[Example, ...]:
        """Lists, as YAML gives them back."""
        for example in examples:
            if not isinstance(example.answer, list | tuple):
                raise ValueError(f"an example is answered {example.answer!r}, which is not a list of labels")
        return tuple(example.model_copy(update={"answer": list(example.answer)}) for example in examples)

    @model_validator(mode="after")
    def _examples_use_the_labels(self) -> "Multilabel":
        for example in self.examples:
            names = self.label_names
            if unknown := [label for label in example.answer if label_number(names, label) is None]:
                raise ValueError(f"an example is answered {unknown[0]!r}, which is not one of the labels")
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def value_type(self) -> str:
        return "ARRAY<STRING>"

    @property
    def answer_mode(self) -> Scored:
        """The labels whose yes is more probable than their no."""
        names = self.label_names
        return Scored(
            choices=tuple(name + answer for name in names for answer in (_YES, _NO)),
            verbalized=tuple(verbalize_label(name) + answer for name in names for answer in (_YES, _NO)),
            groups=(2,) * len(names),
            decide=partial(_those_that_apply, names),
            chosen=partial(_yes_or_no_of_each, names),
            categories=partial(_names_that_apply, names),
            metrics="multilabel",
            overlap=partial(_lists_f1, names),
            prior_correction=self.prior is not None,
        )

    def question(self) -> str:
        """The instructions, then the form of an answer, and the labels."""
        options = [(verbalize_label(label.name), label.description) for label in self.labels]
        return (
            f"{self.instructions.strip() or 'Which of these labels apply to the text?'}\n"
            'Answer "label: yes" or "label: no" for each of these labels, of which any number may apply:'
            f"{listed(options)}"
        )

    def verbalize(self, answer: Any) -> str:
        """Every label's yes or no, one per line, each written as it is scored: a model sees an answer for every label,
        and no line depends on another."""
        given = {label_named(self.label_names, label) for label in answer}
        return "\n".join(
            verbalize_label(name) + (_YES if name in given else _NO) for name in self.label_names
        )

    def to_dict(self) -> dict[str, Any]:
        """Labels as a list of names, or as a mapping if one is described."""
        return super().to_dict() | {"labels": as_written(self.labels)}


def labels_of(mode: Scored) -> tuple[str, ...]:
    """The labels of a multilabel task's mode: choice 2 i is the yes of label i, choice 2 i + 1 its no."""
    return tuple(choice.removesuffix(_YES) for choice in mode.choices[::2])


def label_of(choice: int) -> int:
    """The number of the label that a choice of a multilabel task is about."""
    return choice // 2


def says_yes(choice: int) -> bool:
    """Whether a choice of a multilabel task says that its label applies."""
    return choice % 2 == 0


def _those_that_apply(names: Sequence[str], log_p: LogProbabilities) -> Decision:
    """Each label is decided by itself: it applies if its yes is more probable than 0.5. The confidence of the list is
    its expected F1: the probability that all of many decisions are right is near 0, whatever the list is worth."""
    yes, no = log_p[::2], log_p[1::2]
    applies = yes > no
    decided = np.where(applies, yes, no)
    best = _most_probable_lists(names, applies, decided, decided - np.where(applies, no, yes))
    fields = (FieldConfidence(name, p, p) for name, p in zip(names, np.exp(decided).tolist(), strict=True))
    return Decision(best[0].value, _expected_f1(np.exp(yes), applies), best, tuple(fields))


def _expected_f1(p: NDArray[np.float64], applies: NDArray[np.bool_]) -> float:
    """The mean F1 of the list of labels that are said to apply with lists whose labels apply independently with
    probabilities `p` [L]; exact.

    The F1 depends only on how many labels apply of those said to, and of the others: two Poisson binomial counts.
    """
    hits, missed = _count_distribution(p[applies]), _count_distribution(p[~applies])
    found, beside, said = np.arange(len(hits))[:, None], np.arange(len(missed)), int(applies.sum())
    agreement = 2 * found / np.maximum(said + found + beside, 1) if said else (beside == 0)[None]
    return float(min(hits @ agreement @ missed, 1.0))


def _count_distribution(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N + 1]: the probabilities that 0 to N of N independent events happen, whose own probabilities are `p`."""
    counted = np.ones(1)
    for one in p:
        counted = np.convolve(counted, (1 - one, one))
    return counted


def _most_probable_lists(
    names: Sequence[str], applies: NDArray[np.bool_], decided: LogProbabilities, losses: LogProbabilities
) -> tuple[Alternative, ...]:
    """The five most probable of all 2^L lists, the decided one first. Of equally probable ones, those with fewer
    changes come first.

    `decided` [L]: the decisions' log-probabilities. `losses` [L]: what changing each decision costs. Only the four
    cheapest changes need to be tried: a list with any other change is at most as probable as five others, namely the
    decided one and those that change one of the four.
    """
    least = np.argsort(losses, kind="stable")[: MAX_ALTERNATIVES - 1].tolist()
    changes = [flips for count in range(len(least) + 1) for flips in combinations(least, count)]
    cheapest = sorted(changes, key=lambda flips: losses[list(flips)].sum())[:MAX_ALTERNATIVES]
    return tuple(
        Alternative(
            [name for i, name in enumerate(names) if applies[i] != (i in flips)],
            float(np.exp(decided.sum() - losses[list(flips)].sum())),
        )
        for flips in cheapest
    )


def _yes_or_no_of_each(names: tuple[str, ...], value: Any) -> tuple[int, ...]:
    """The yes of the listed labels and the no of the others. Empty for NULL, and for a list with an unknown label."""
    if not isinstance(value, list | tuple):
        return ()
    given = {label_number(names, label) for label in value}
    return () if None in given else tuple(2 * i + (i not in given) for i in range(len(names)))


def _lists_f1(names: tuple[str, ...], gold: Any, value: Any) -> float:
    """The F1 of the labels in `value` against those in `gold`; 1 if both are empty."""
    ours, theirs = (
        {number for number in _yes_or_no_of_each(names, given) if number % 2 == 0} for given in (gold, value)
    )
    return f1(len(ours & theirs), len(ours), len(theirs))


def _names_that_apply(names: tuple[str, ...], value: Any) -> tuple[str, ...]:
    """The listed labels, in the task's order; `NONE_OF_THEM` for an empty list."""
    chosen = _yes_or_no_of_each(names, value)
    return tuple(names[label_of(choice)] for choice in chosen if says_yes(choice)) or (
        (NONE_OF_THEM,) if chosen else ()
    )
