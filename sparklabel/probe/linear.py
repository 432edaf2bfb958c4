"""The linear probe: logistic regression over the hidden states of a frozen model.

In: features (`HiddenStates`) and label numbers. Out: probabilities of the labels. It is a baseline: a fine-tuned model
that does not beat it has learned nothing that the base did not already know.
"""

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

from sparklabel.classifiers.heads import Features, Head, Targets
from sparklabel.probe.hidden_states import HiddenStates

Answer = TypeVar("Answer", bound=Hashable)

_STRENGTH = 0.01
"""Of a feature, as rows have length 1: strong regularization, because there are more features than rows."""


def probe_answers(
    read: HiddenStates,
    train: Sequence[tuple[Sequence[str], Answer]],
    test: Sequence[Sequence[str]],
    answers: Sequence[Answer],
) -> list[tuple[Answer, float]]:
    """Fits a probe on some rows and answers others.

    Args:
        read: Reads a row's features.
        train: Pairs of a row's inputs and its answer.
        test: Inputs of the rows to answer.
        answers: The distinct answers, at least two of which `train` has.

    Returns:
        For each test row, the most probable of `answers` and its probability.
    """
    targets = np.array([[answers.index(answer)] for _, answer in train])
    head = fit_probe(read([inputs for inputs, _ in train]), targets, len(answers))
    return [(answers[p.argmax()], float(np.exp(p.max()))) for p in head.log_probabilities(read(test))]


def fit_probe(features: Features, targets: Targets, labels: int) -> Head:
    """A head over features [N, F] of `labels` choices, whose right ones are `targets` [N, 1]."""
    strength = _STRENGTH * features.shape[1]
    return Head.fit(features, targets, (labels,), strength, standardize=True)
