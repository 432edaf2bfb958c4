"""What the probe process does, without the process: reads rows, learns answers, scores all rows.

In: rows by input hash, answers. Out: `Scores`. Held-out rows are scored and never learned from. A row's features are
read once: what costs least of all rows first, and all of rows that have an answer before the others. Equal texts of
several rows have one vector.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.classifiers.classifier import HIDDEN, group_targets
from sparklabel.classifiers.features import label_vectors
from sparklabel.classifiers.heads import Features, Floats
from sparklabel.few_shot import Encoder
from sparklabel.probe.live import LiveProbe, blocks
from sparklabel.reviewing.probe.ordering import START, kmeans_start, margin, queue_order
from sparklabel.reviewing.probe.row_features import StoredFeatures
from sparklabel.reviewing.probe.scores import Scores, best_choices
from sparklabel.splits import fold, is_held_out
from sparklabel.tasks import Scored, Task
from sparklabel.tasks.classification import Classification

FOLDS = 5
_ENOUGH_KEPT = 0.8
"""Of the rows, and of the answered ones, for the states that a pass has kept to count."""

Inputs = Sequence[str | None]
ReadRows = Callable[[Sequence[Sequence[str]]], Features]
"""Rows of texts to features [N, F]."""


class ProbeWorker:
    """The rows, answers and features of one task, and what is learned of them.

    Args:
        task: A scored one.
        sources: What reads rows' features, by source: the cheapest first. All rows are read by it before those without
            an answer are read by the next.
        names: The vectors of the labels' names, as `LiveProbe` takes them.
        hidden_model: The identity of the model whose hidden states one of the sources reads.
    """

    def __init__(
        self,
        task: Task,
        sources: Mapping[str, ReadRows],
        names: Features | None = None,
        hidden_model: str = "",
    ) -> None:
        mode = task.answer_mode
        assert isinstance(mode, Scored), "kinds whose answers are written have no probe"
        self._mode, self._sources = mode, dict(sources)
        self._names, self._hidden_model = names, hidden_model
        self._probe = self._new_probe()
        self._inputs: dict[str, Inputs] = {}
        self._held_out: set[str] = set()
        # In the order in which they came.
        self._waiting: dict[str, dict[str, None]] = {source: {} for source in sources}
        self._answers: dict[str, tuple[int, ...]] = {}
        self._features = {source: StoredFeatures(is_wide=source == HIDDEN) for source in sources}
        self._kept: dict[str, NDArray[np.float16]] = {}
        """Another model's states, until all are told."""
        self._start: list[str] = []
        self._start_of = 0
        self.readings = 0
        """How many were done, of each row one for each source; those that another model's replaced count too."""

    @property
    def _first(self) -> StoredFeatures:
        return next(iter(self._features.values()))

    @property
    def waiting(self) -> int:
        """How many readings are left."""
        return sum(map(len, self._waiting.values()))

    @property
    def featured(self) -> int:
        """How many rows can be scored."""
        return len(self._first.hashes) if self._first.is_ready else 0

    def add_rows(self, rows: Sequence[tuple[str, Inputs]]) -> None:
        """Rows to read and score, by their input hash. Known ones are left as they are."""
        for input_hash, inputs in rows:
            if input_hash not in self._inputs:
                self._inputs[input_hash] = inputs
                for waiting in self._waiting.values():
                    waiting[input_hash] = None
                if is_held_out(inputs):
                    self._held_out.add(input_hash)

    def add_hidden_states(self, model: str, states: Mapping[str, bytes], *, is_last: bool) -> str:
        """Hidden states of known rows that a pass has kept, by input hash: these rows are not read. States of another
        model than the one that is read here take that one's place once all are told, as a head reads one model; but
        only if most rows have some.

        Args:
            model: The identity of the model that they are of.
            states: float16, little-endian.
            is_last: No more of them follow.

        Returns:
            Why they are left out, in a sentence; empty if they are not.
        """
        new = {one: np.frombuffer(found, "<f2") for one, found in states.items() if one in self._inputs}
        if model != self._hidden_model:
            self._kept |= new
            return self._take_kept(model) if is_last else ""
        stored, waiting = self._features[HIDDEN], self._waiting.get(HIDDEN, {})
        self._add_kept({one: found for one, found in new.items() if one not in stored.position})
        if is_last and not waiting:  # also where the last part had none
            stored.project()
        return ""

    def _take_kept(self, model: str) -> str:
        kept, self._kept = self._kept, {}
        if len(kept) < _ENOUGH_KEPT * len(self._inputs):
            return (
                f"a pass has kept features of {len(kept):,} of the {len(self._inputs):,} rows here, which is too few. "
                "Another pass over these rows with features=True keeps the others'."
            )
        self._hidden_model, self._probe = model, self._new_probe()
        self._sources.pop(HIDDEN, None)
        self._waiting.pop(HIDDEN, None)
        self._features[HIDDEN] = StoredFeatures(is_wide=True)
        self._start, self._start_of = [], 0
        self._add_kept(kept)
        self._features[HIDDEN].project()
        return ""

    def _add_kept(self, states: Mapping[str, NDArray[np.float16]]) -> None:
        if states:
            for one in states:
                self._waiting.get(HIDDEN, {}).pop(one, None)
            read = np.stack(list(states.values())).astype(np.float32)
            self._features[HIDDEN].add(list(states), read, is_last=False)
            self.readings += len(states)

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
        """Reads the features of the next rows, so many at most: first those that have an answer."""
        for source, waiting in self._waiting.items():
            if waiting:
                answered = islice((one for one in self._answers if one in waiting), most)
                self._read(source, list(answered) or list(islice(waiting, most)))
                return

    def read_answered(self, most: int) -> None:
        """Reads the features of rows that have an answer, so many at most from each source."""
        for source, waiting in self._waiting.items():
            self._read(source, list(islice((one for one in self._answers if one in waiting), most)))

    def _read(self, source: str, hashes: list[str]) -> None:
        if hashes:
            texts = [[text or "" for text in self._inputs[one]] for one in hashes]
            for one in hashes:
                del self._waiting[source][one]
            found = self._sources[source](texts)
            self._features[source].add(hashes, found, is_last=not self._waiting[source])
            self.readings += len(hashes)

    def _new_probe(self) -> LiveProbe:
        return LiveProbe(self._mode.groups, len(self._mode.choices), self._names)

    def scores(self) -> Scores:
        """Learns from all answers whose rows are read, and scores all rows that are, at least one."""
        learned_from = self._learn()
        hashes, groups = tuple(self._first.hashes), self._probe.groups
        parts = []
        for start, end in blocks(len(hashes), sum(groups)):
            log_p = self._log_probabilities(hashes[start:end])
            parts.append((*best_choices(log_p, self._mode.groups), margin(log_p, groups)))
        best, probability, margins = (np.concatenate(part) for part in zip(*parts, strict=True))
        is_open = np.array([one not in self._answers and one not in self._held_out for one in hashes])
        start_rows = self._start_rows(is_open) if learned_from < START else []
        return Scores(
            hashes=hashes, best=best, probability=probability, margin=margins,
            order=queue_order(margins, is_open, start_rows), featured=len(hashes), learned_from=learned_from,
        )  # fmt: skip

    def _log_probabilities(self, hashes: Sequence[str]) -> Floats:
        """[N, L], each row's by all that is read of it."""
        found = np.zeros((len(hashes), sum(self._probe.groups)))
        by_sources = defaultdict(list)
        ready = self._ready()
        for number, one in enumerate(hashes):
            by_sources[tuple(source for source, read in ready.items() if one in read.position)].append(number)
        for sources, numbers in by_sources.items():
            of = [hashes[number] for number in numbers]
            found[numbers] = self._probe.log_probabilities(
                {source: ready[source].of(of) for source in sources}
            )
        return found

    def _ready(self) -> dict[str, StoredFeatures]:
        return {source: read for source, read in self._features.items() if read.is_ready}

    def _learn(self) -> int:
        """How many answers it learned from: none while all say the same."""
        known = [one for one in self._answers if one in self._first.position]
        ready = self._ready()
        if HIDDEN in ready and HIDDEN not in self._sources:
            # What a pass has not kept is never read: few answers are better left out than all that it has kept.
            kept = [one for one in known if one in ready[HIDDEN].position]
            known = kept if len(kept) >= _ENOUGH_KEPT * len(known) else known
        answered = set(known)
        # A source counts once it is read of all of them.
        ready = {source: read for source, read in ready.items() if read.position.keys() >= answered}
        targets = group_targets([self._answers[one] for one in known], self._probe.groups)
        if len(np.unique(targets, axis=0)) < 2:
            return 0
        assert not any(is_held_out(self._inputs[one]) for one in known), "held-out rows only judge"
        folds = np.array([fold(self._inputs[one], FOLDS) for one in known])
        self._probe.learn({source: read.of(known) for source, read in ready.items()}, targets, folds)
        return len(known)

    def _start_rows(self, is_open: NDArray[np.bool_]) -> list[int]:
        """Where the rows to begin with are; chosen anew whenever twice as many rows are read."""
        if self.featured >= 2 * self._start_of:
            hashes = [self._first.hashes[position] for position in np.flatnonzero(is_open)]
            vectors = self._first.of(hashes).astype(np.float32)
            self._start = [hashes[one] for one in kmeans_start(vectors)]
            self._start_of = self.featured
        return [self._first.position[one] for one in self._start]


def names_of(task: Task, encoder: Encoder) -> Features | None:
    """The vectors [L, F] of a classification's labels, if a row is one text, as they are."""
    if not isinstance(task, Classification) or len(task.inputs) > 1:
        return None
    return label_vectors(task.meanings, encoder)
