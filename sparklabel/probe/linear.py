"""The honest baseline: logistic regression over what a frozen model already knows.

In: features (language_model.hidden_features) and label numbers. Out: probabilities of the labels. A fine-tuned model
that does not beat it has learned nothing that the base did not hold. The language model comes loaded.
"""

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparklabel.language_model import LanguageModel, decoder_depth, hidden_features
from sparklabel.prompts import PromptEncoder

Answer = TypeVar("Answer", bound=Hashable)

PROBE_DEPTH = 2 / 3
"""Part of a model's layers below which features are read: layers 16 and 20 of 30 were best, alike, on one task."""


def probe_layer(depth: int) -> int:
    """The layer whose output the probe reads, of a model with `depth` layers."""
    return max(1, round(depth * PROBE_DEPTH))


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """A fitted probe over L labels. Labels without a training row get probability 0."""

    labels: int
    _pipeline: Any

    @classmethod
    def fit(cls, features: NDArray[np.float32], answers: Sequence[int], labels: int) -> "LinearProbe":
        """Features [N, F] and label numbers [N], of at least two labels."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        # Strong regularisation: there are more features than rows.
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        with warnings.catch_warnings():
            # Few answers to many labels are what a table has at first; they are label numbers all the same.
            warnings.filterwarnings("ignore", message="The number of unique classes")
            return cls(labels, pipeline.fit(features, np.asarray(answers)))

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """[N, F] to [N, L]."""
        found = np.zeros((len(features), self.labels))
        found[:, self._pipeline.classes_] = self._pipeline.predict_proba(features)
        return found


def probe_answers(
    model: LanguageModel,
    encoder: PromptEncoder,
    train: Sequence[tuple[Sequence[str], Answer]],
    test: Sequence[Sequence[str]],
    answers: Sequence[Answer],
) -> list[tuple[Answer, float]]:
    """The probe's answer to each test row, one of `answers`, with its probability. `train` pairs a row's inputs with
    its answer."""

    def features(rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        ids = [encoder.prefix + prompt.ids for prompt in encoder.encode(rows)]
        return hidden_features(model, ids, probe_layer(decoder_depth(model.model)))

    numbers = [answers.index(answer) for _, answer in train]
    probe = LinearProbe.fit(features([inputs for inputs, _ in train]), numbers, len(answers))
    return [(answers[p.argmax()], float(p.max())) for p in probe.probabilities(features(test))]
