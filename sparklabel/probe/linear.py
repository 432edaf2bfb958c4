"""The linear probe: logistic regression over the hidden states of a frozen model.

In: features (`hidden_features`) and label numbers. Out: probabilities of the labels. It is a baseline: a fine-tuned
model that does not beat it has learned nothing that the base did not already know. No model is loaded here; callers
pass a loaded one.
"""

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

from sparklabel.classifiers.heads import Features, Head, Targets
from sparklabel.language_model import LanguageModel, decoder_depth, hidden_features
from sparklabel.prompts import RowEncoder

Answer = TypeVar("Answer", bound=Hashable)

PROBE_DEPTH = 2 / 3
"""How far up a model's layers features are read. On one task, layers 16 and 20 of 30 were equally good and best."""
_STRENGTH = 0.01
"""Of a feature, as rows have length 1: strong regularization, because there are more features than rows."""


def probe_layer(depth: int) -> int:
    """The layer, of `depth`, whose output the probe reads."""
    return max(1, round(depth * PROBE_DEPTH))


def probe_answers(
    model: LanguageModel,
    encoder: RowEncoder,
    train: Sequence[tuple[Sequence[str], Answer]],
    test: Sequence[Sequence[str]],
    answers: Sequence[Answer],
) -> list[tuple[Answer, float]]:
    """Fits a probe on some rows and answers others.

    Args:
        model: The loaded, frozen model whose hidden states are the features.
        encoder: Renders a row's inputs as the prompt that is read.
        train: Pairs of a row's inputs and its answer.
        test: Inputs of the rows to answer.
        answers: The distinct answers, at least two of which `train` has.

    Returns:
        For each test row, the most probable of `answers` and its probability.
    """

    def features(rows: Sequence[Sequence[str]]) -> Features:
        ids = [encoder.prefix + prompt.ids for prompt in encoder.encode(rows)]
        return hidden_features(model, ids, probe_layer(decoder_depth(model.model)))

    targets = np.array([[answers.index(answer)] for _, answer in train])
    head = fit_probe(features([inputs for inputs, _ in train]), targets, len(answers))
    return [(answers[p.argmax()], float(np.exp(p.max()))) for p in head.log_probabilities(features(test))]


def fit_probe(features: Features, targets: Targets, labels: int) -> Head:
    """A head over features [N, F] of `labels` choices, whose right ones are `targets` [N, 1]."""
    strength = _STRENGTH * features.shape[1]
    return Head.fit(features, targets, (labels,), strength, standardize=True)
