"""The order of packs in a training: which ones each optimizer step learns from.

In: a manifest, a seed. Out: for each step its packs; a function of both, whatever the number of ranks, so that where a
training is in its order is one number. And the packs themselves, read ahead of their need.

Each epoch permutes the files, and shuffles packs within windows of some files: a rank holds two windows, never all.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sparklabel.language_model.training.packs import Pack, PackFolder, PackManifest

_WINDOW = 16
"""Files."""


@dataclass(frozen=True, slots=True)
class PackStep:
    """One optimizer step: its epoch, from 1, and its packs, each by the number of its file and its place in it."""

    epoch: int
    packs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PackPlan:
    """All steps of a training. The last step of an epoch may have fewer packs."""

    manifest: PackManifest
    seed: int
    epochs: int
    batch_size: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.manifest.packs // self.batch_size)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.epochs

    @property
    def digest(self) -> str:
        """A hash of the order: a training goes on only from a checkpoint with the same one."""
        content = f"{self.manifest.digest} {self.seed} {self.epochs} {self.batch_size} {_WINDOW}"
        return hashlib.sha256(content.encode()).hexdigest()

    def step(self, number: int) -> PackStep:
        """The step with this number, from 0."""
        epoch, begin = self._place(number)
        return PackStep(
            epoch + 1, tuple((int(file), int(pack)) for file, pack in self._packs(epoch, begin, 1))
        )

    def epoch(self, number: int) -> int:
        """The step's epoch, from 1."""
        return self._place(number)[0] + 1

    @property
    def all_tokens(self) -> int:
        return self.manifest.tokens * self.epochs

    def tokens(self, number: int) -> int:
        """The tokens of a step, about: those of its files' average packs."""
        files = [self.manifest.files[file] for file, _ in self.step(number).packs]
        return round(sum(file.tokens / file.packs for file in files))

    def files_ahead(self, number: int) -> list[int]:
        """The numbers of the files that this step and those after it take packs of, for two windows."""
        epoch, begin = self._place(number)
        files = self.manifest.files
        packs_of_window = _WINDOW * -(-self.manifest.packs // len(files))
        return np.unique(self._packs(epoch, begin, -(-2 * packs_of_window // self.batch_size))[:, 0]).tolist()

    def _place(self, number: int) -> tuple[int, int]:
        """The epoch, from 0, and the place of the step's first pack in its order."""
        epoch, step = divmod(number, self.steps_per_epoch)
        return epoch, step * self.batch_size

    def _packs(self, epoch: int, begin: int, steps: int) -> NDArray[np.int32]:
        return _order(self.manifest, self.seed, epoch)[begin : begin + steps * self.batch_size]


@lru_cache(2)
def _order(manifest: PackManifest, seed: int, epoch: int) -> NDArray[np.int32]:
    """[N, 2]: file and place of each of the N packs, in the epoch's order."""
    random = np.random.default_rng([seed, epoch])
    files = random.permutation(len(manifest.files))
    windows = []
    for begin in range(0, len(files), _WINDOW):
        window = [
            np.stack([np.full(manifest.files[file].packs, file), np.arange(manifest.files[file].packs)], 1)
            for file in files[begin : begin + _WINDOW]
        ]
        windows.append(random.permutation(np.concatenate(window)))
    return np.concatenate(windows).astype(np.int32)


class PackReader:
    """Reads the packs of steps, and in a thread of its own the files that the steps after them need."""

    def __init__(self, folder: PackFolder, plan: PackPlan) -> None:
        self._folder, self._plan = folder, plan
        self._pool = ThreadPoolExecutor(1, "sparklabel-packs")
        self._files: dict[int, Future[list[Pack]]] = {}

    def packs(self, number: int) -> list[Pack]:
        """Those of the step with this number."""
        ahead = self._plan.files_ahead(number)
        self._files = {
            file: self._files.get(file) or self._pool.submit(self._folder.read, file) for file in ahead
        }
        return [self._files[file].result()[place] for file, place in self._plan.step(number).packs]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class PackSteps:
    """The steps of a training on packs, but for their gradients; all ranks read all packs of a step."""

    def __init__(self, reader: PackReader, plan: PackPlan) -> None:
        self._reader, self._plan = reader, plan

    @property
    def digest(self) -> str:
        return self._plan.digest

    @property
    def count(self) -> int:
        return self._plan.steps

    def epoch(self, number: int) -> int:
        return self._plan.epoch(number)

    def tokens(self, number: int) -> int:
        return self._plan.tokens(number)

    @property
    def all_tokens(self) -> int:
        return self._plan.all_tokens


@contextmanager
def opened(folder: PackFolder, plan: PackPlan) -> Iterator[PackReader]:
    """A reader that is closed afterwards."""
    reader = PackReader(folder, plan)
    try:
        yield reader
    finally:
        reader.close()


def shard_of(packs: Sequence[Pack], rank: int, world_size: int) -> Sequence[Pack]:
    """A rank's part of a step's packs: all packs are about equally long."""
    return packs[rank::world_size]
