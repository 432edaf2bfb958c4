"""What a probe reads of a row: the hidden states of a frozen model, two thirds up its layers.

In: rows of texts, the engine of a model, what renders a row as a prompt. Out: features [N, F]. No model is loaded here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparklabel.classifiers.heads import Features
from sparklabel.engines import HiddenStatesRequest, ReadableEngine
from sparklabel.prompts import Prompt, RowEncoder

PROBE_DEPTH = 2 / 3
"""How far up a model's layers features are read. On one task, layers 16 and 20 of 30 were equally good and best. The
heads of registered versions were fitted at this depth."""

_COMPONENTS = 256
_FLAT = 1e-6


@dataclass(frozen=True, slots=True)
class HiddenStates:
    """The engine of a frozen model, and what renders a row's inputs as the prompt that it reads."""

    engine: ReadableEngine
    encoder: RowEncoder

    def __call__(self, rows: Sequence[Sequence[str]]) -> Features:
        """[N, 2 D]: the mean over a row's tokens, then its last token. Raises EngineError."""
        return self.of(self.encoder.encode(rows))

    def of(self, prompts: Sequence[Prompt]) -> Features:
        """The same of rows that are rendered."""
        ids = tuple(self.encoder.prefix + prompt.ids for prompt in prompts)
        return self.engine.hidden_states(HiddenStatesRequest(ids, PROBE_DEPTH))


def to_float16(features: Features) -> NDArray[np.float16]:
    """Features as they are kept, little-endian. Of some models single states lie beyond what float16 holds: these
    become the largest it does, and what is no number 0, as one infinity would undo a whole projection."""
    most = float(np.finfo(np.float16).max)
    return np.nan_to_num(features, nan=0.0, posinf=most, neginf=-most).clip(-most, most).astype("<f2")


@dataclass(frozen=True, slots=True)
class Projection:
    """Standardized features, projected onto their 256 widest directions (principal component analysis). A head over
    these is as good as one over all of them, if the directions' widths are kept: on one task and 500 answers 86.4%
    right instead of 86.1%, and 81.1% with equal widths."""

    mean: Features
    scale: Features
    components: Features

    @classmethod
    def fit(cls, features: Features) -> "Projection":
        """To features [N, F]."""
        mean, spread = features.mean(axis=0), features.std(axis=0)
        scale = np.where(spread > _FLAT, spread, 1.0).astype(np.float32)
        _, _, directions = np.linalg.svd((features - mean) / scale, full_matrices=False)
        return cls(mean, scale, directions[:_COMPONENTS].T)

    def __call__(self, features: Features) -> Features:
        """[N, F] to [N, C]: C is 256, or F or the number of rows that it was fitted to, if that is less."""
        return np.asarray(((features - self.mean) / self.scale) @ self.components, np.float32)
