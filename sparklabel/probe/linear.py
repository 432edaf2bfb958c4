"""The linear probe: logistic regression over the hidden states of a frozen model.

In: features (`hidden_features`) and label numbers. Out: probabilities of the labels. It is a baseline: a fine-tuned
model that does not beat it has learned nothing that the base did not already know. No model is loaded here; callers
pass a loaded one.
"""

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparklabel.language_model import LanguageModel, decoder_depth, hidden_features
from sparklabel.prompts import RowEncoder

Answer = TypeVar("Answer", bound=Hashable)

PROBE_DEPTH = 2 / 3
"""How far up a model's layers features are read. On one task, layers 16 and 20 of 30 were equally good and best."""


def probe_layer(depth: int) -> int:
    """The layer, of `depth`, whose output the probe reads."""
    return max(1, round(depth * PROBE_DEPTH))


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """A fitted probe over L labels. A label without training rows has probability 0."""

    labels: int
    _pipeline: Any

    @classmethod
    def fit(cls, features: NDArray[np.float32], answers: Sequence[int], labels: int) -> "LinearProbe":
        """Fits features [N, F] to label numbers [N] in [0, `labels`), at least two of which must occur."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        # Strong regularization, because there are more features than rows.
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        with warnings.catch_warnings():
            # scikit-learn suspects regression targets; a new table just has few answers to many labels.
            warnings.filterwarnings("ignore", message="The number of unique classes")
            return cls(labels, pipeline.fit(features, np.asarray(answers)))

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Features [N, F] to probabilities [N, L]."""
        p = np.zeros((len(features), self.labels))
        p[:, self._pipeline.classes_] = self._pipeline.predict_proba(features)
        return p


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

    def features(rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        ids = [encoder.prefix + prompt.ids for prompt in encoder.encode(rows)]
        return hidden_features(model, ids, probe_layer(decoder_depth(model.model)))

    numbers = [answers.index(answer) for _, answer in train]
    probe = LinearProbe.fit(features([inputs for inputs, _ in train]), numbers, len(answers))
    return [(answers[p.argmax()], float(p.max())) for p in probe.probabilities(features(test))]
