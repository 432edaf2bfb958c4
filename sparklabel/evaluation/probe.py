"""The honest baseline: logistic regression over what a frozen model already knows.

In: features (language_model.hidden_features) and label numbers. Out: probabilities of the labels. A fine-tuned model
that does not beat it has learned nothing that the base did not hold. It loads no language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PROBE_DEPTH = 2 / 3
"""Part of a model's layers below which features are read: layer 20 of 30 was best in a scan (docs/log.md)."""


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
        return cls(labels, pipeline.fit(features, np.asarray(answers)))

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """[N, F] to [N, L]."""
        found = np.zeros((len(features), self.labels))
        found[:, self._pipeline.classes_] = self._pipeline.predict_proba(features)
        return found

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.intp]:
        """[N, F] to label numbers [N]."""
        return self.probabilities(features).argmax(axis=1)
