"""What the probe process does, without the process: reads rows, learns answers, scores all rows.

In: rows by input hash, answers. Out: `Scores`. Held-out rows are scored and never learned from. A row's features are
read once, those of rows that have an answer first; equal texts of several rows have one vector.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.classifiers.classifier import SENTENCE, group_targets
from sparklabel.classifiers.features import label_vectors, sentence_features
from sparklabel.classifiers.heads import Features
from sparklabel.few_shot import Encoder
from sparklabel.probe.live import LiveProbe, Stored, blocks
from sparklabel.reviewing.probe.ordering import START, kmeans_start, margin, queue_order
from sparklabel.reviewing.probe.scores import Scores, best_choices
from sparklabel.splits import fold, is_held_out
from sparklabel.tasks import Scored, Task
from sparklabel.tasks.classification import Classification

FOLDS = 5

Inputs = Sequence[str | None]


class KnownVectors:
    """An encoder that remembers the vectors of texts: two rows may have the same record."""

    def __init__(self, encoder: Encoder) -> None:
        self.identity = encoder.identity
        self._encoder = encoder
        self._known: dict[str, NDArray[np.float16]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the encoder does, but for the rounding to float16."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        vectors = self._encoder.embed(new)
        self._known |= zip(new, vectors.astype(np.float16), strict=True)
        return np.stack([self._known[text] for text in texts]).astype(np.float32) if texts else vectors


class StoredFeatures:
    """The features of rows by source, as float16, in arrays that grow."""

    def __init__(self) -> None:
        self.hashes: list[str] = []
        self.position: dict[str, int] = {}
        self._arrays: dict[str, NDArray[np.float16]] = {}

    def add(self, hashes: Sequence[str], read: Mapping[str, Stored]) -> None:
        """Appends rows of which all sources were read."""
        start, end = len(self.hashes), len(self.hashes) + len(hashes)
        for source, found in read.items():
            array = self._arrays.get(source)
            if array is None or len(array) < end:
                grown = np.zeros((max(2 * end, 1024), found.shape[1]), np.float16)
                if array is not None:
                    grown[:start] = array[:start]
                self._arrays[source] = array = grown
            array[start:end] = found
        self.position |= zip(hashes, range(start, end), strict=True)
        self.hashes += hashes

    def of(self, positions: slice | Sequence[int]) -> dict[str, NDArray[np.float16]]:
        """The features of rows by their positions."""
        return {source: array[: len(self.hashes)][positions] for source, array in self._arrays.items()}


class ProbeWorker:
    """The rows, answers and features of one task, and what is learned of them.

    Args:
        task: A scored one.
        encoder: Of the rows and the labels.
    """

    def __init__(self, task: Task, encoder: Encoder) -> None:
        mode = task.answer_mode
        assert isinstance(mode, Scored), "kinds whose answers are written have no probe"
        self._mode, self._task = mode, task
        self._encoder = KnownVectors(encoder)
        self._probe = LiveProbe(mode.groups, len(mode.choices), names_of(task, encoder))
        self._inputs: dict[str, Inputs] = {}
        self._held_out: set[str] = set()
        self._waiting: dict[str, None] = {}  # in the order in which they came
        self._answers: dict[str, tuple[int, ...]] = {}
        self._features = StoredFeatures()
        self._start: list[str] = []
        self._start_of = 0

    @property
    def waiting(self) -> int:
        """How many rows are still to be read."""
        return len(self._waiting)

    @property
    def featured(self) -> int:
        """How many rows are read."""
        return len(self._features.hashes)

    def add_rows(self, rows: Sequence[tuple[str, Inputs]]) -> None:
        """Rows to read and score, by their input hash. Known ones are left as they are."""
        for input_hash, inputs in rows:
            if input_hash not in self._inputs:
                self._inputs[input_hash] = inputs
                self._waiting[input_hash] = None
                if is_held_out(inputs):
                    self._held_out.add(input_hash)

    def answer(self, answers: Sequence[tuple[str, Any]]) -> int:
        """Takes answers, each in place of the row's earlier one; how many are new. Those that the task does not accept,
        such as None for one that was undone, only take back. Answers to held-out rows are a mistake of the caller."""
        changed = 0
        for input_hash, value in answers:
            assert input_hash not in self._held_out, "a probe must not learn from a held-out row"
            chosen = self._mode.chosen(value)
            before = self._answers.pop(input_hash, ())
            if chosen:
                self._answers[input_hash] = chosen
            changed += chosen != before
        return changed

    def read_rows(self, most: int) -> None:
        """Reads the features of the next rows, so many at most."""
        self._read(list(islice(self._waiting, most)))

    def read_answered(self) -> None:
        """Reads the features of all rows that have an answer."""
        self._read([one for one in self._answers if one in self._waiting])

    def _read(self, hashes: list[str]) -> None:
        if hashes:
            texts = [[text or "" for text in self._inputs[one]] for one in hashes]
            self._features.add(hashes, {SENTENCE: sentence_features(self._task, texts, self._encoder)})
            for one in hashes:
                del self._waiting[one]

    def scores(self) -> Scores:
        """Learns from all answers whose rows are read, and scores all rows that are, at least one."""
        learned_from = self._learn()
        features, groups = self._features, self._probe.groups
        parts = []
        for start, end in blocks(self.featured, sum(groups)):
            log_p = self._probe.log_probabilities(features.of(slice(start, end)))
            parts.append((*best_choices(log_p, self._mode.groups), margin(log_p, groups)))
        best, probability, margins = (np.concatenate(part) for part in zip(*parts, strict=True))
        hashes = tuple(features.hashes)
        is_open = np.array([one not in self._answers and one not in self._held_out for one in hashes])
        start_rows = self._start_rows(is_open) if learned_from < START else []
        return Scores(
            hashes=hashes, best=best, probability=probability, margin=margins,
            order=queue_order(margins, is_open, start_rows), featured=len(hashes), learned_from=learned_from,
        )  # fmt: skip

    def _learn(self) -> int:
        """How many answers it learned from: none while all say the same."""
        known = [one for one in self._answers if one in self._features.position]
        targets = group_targets([self._answers[one] for one in known], self._probe.groups)
        if len(np.unique(targets, axis=0)) < 2:
            return 0
        assert not any(is_held_out(self._inputs[one]) for one in known), "held-out rows only judge"
        folds = np.array([fold(self._inputs[one], FOLDS) for one in known])
        read = self._features.of([self._features.position[one] for one in known])
        self._probe.learn(read, targets, folds)
        return len(known)

    def _start_rows(self, is_open: NDArray[np.bool_]) -> list[int]:
        """Where the rows to begin with are; chosen anew whenever twice as many rows are read."""
        if self.featured >= 2 * self._start_of:
            positions = np.flatnonzero(is_open)
            vectors = self._features.of(positions.tolist())[SENTENCE].astype(np.float32)
            self._start = [self._features.hashes[positions[one]] for one in kmeans_start(vectors)]
            self._start_of = self.featured
        return [self._features.position[one] for one in self._start]


def names_of(task: Task, encoder: Encoder) -> Features | None:
    """The vectors [L, F] of a classification's labels, if a row is one text, as they are."""
    if not isinstance(task, Classification) or len(task.inputs) > 1:
        return None
    return label_vectors(task.meanings, encoder)
