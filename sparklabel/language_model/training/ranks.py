"""The ranks that train one model together: each has all of it, and computes a part of every batch.

In: tensors of one rank. Out: the same tensors, summed over all ranks or sent from one. A training in one process has
one rank, and sends nothing.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from sparklabel.errors import ModelError, TrainingInterrupted
from sparklabel.redaction import first_line


@dataclass(frozen=True, slots=True)
class Ranks:
    """This rank's number, and how many there are."""

    rank: int = 0
    world_size: int = 1

    @classmethod
    def meet(cls, backend: str, patience: timedelta) -> "Ranks":
        """Joins the other ranks, whose number and address are in the environment: RANK, WORLD_SIZE, MASTER_ADDR,
        MASTER_PORT. Raises TrainingInterrupted if they do not come."""
        with loss_is_told(whatever=True):
            dist.init_process_group(backend, timeout=patience)
        return cls.of_process_group()

    @classmethod
    def of_process_group(cls) -> "Ranks":
        """The ranks of torch's default process group, which must have been initialized."""
        return cls(dist.get_rank(), dist.get_world_size())

    def share(self, batch: Sequence[int]) -> Sequence[int]:
        """This rank's part of a batch. Batches are sorted by length, so that all parts take equally long."""
        return batch[self.rank :: self.world_size]

    def sum(self, values: Tensor) -> None:
        """Replaces `values` by their sum over all ranks."""
        if self.world_size > 1:
            with loss_is_told(whatever=True):
                dist.all_reduce(values)

    def least(self, value: int) -> int:
        """The smallest of the ranks' values."""
        if self.world_size == 1:
            return value
        found = torch.tensor([value], dtype=torch.int64, device=self._device)
        with loss_is_told(whatever=True):
            dist.all_reduce(found, dist.ReduceOp.MIN)
        return int(found.item())

    def send(self, values: Tensor, source: int) -> None:
        """Replaces `values` by those of the rank `source`."""
        if self.world_size > 1:
            with loss_is_told(whatever=True):
                dist.broadcast(values, source)

    def agree(self, digest: str) -> bool:
        """Whether all ranks gave the same hexadecimal digest."""
        if self.world_size == 1:
            return True
        own = torch.frombuffer(bytearray(bytes.fromhex(digest)), dtype=torch.uint8).to(self._device)
        first = own.clone()
        self.send(first, 0)
        differing = (first != own).any().float()
        self.sum(differing)
        return differing.item() == 0

    def told_by_first(self, digest: str) -> str:
        """The hexadecimal digest of 32 bytes that the first rank gives."""
        if self.world_size == 1:
            return digest
        own = bytes.fromhex(digest) if self.rank == 0 else bytes(32)
        found = torch.frombuffer(bytearray(own), dtype=torch.uint8).to(self._device)
        self.send(found, 0)
        return bytes(found.tolist()).hex()

    def check_same(self, digest: str) -> None:
        """Raises ModelError unless all ranks gave the same hexadecimal digest of what they trained."""
        if not self.agree(digest):
            raise ModelError(
                f"The {self.world_size} ranks ended with different weights.",
                hint="Their hosts compute differently: give all the same kind of processor and the same versions.",
            )

    @property
    def _device(self) -> str:
        return "cuda" if dist.get_backend() == "nccl" else "cpu"


_LOST = re.compile(r"gloo|nccl|connection (closed|reset)|broken pipe|timed out|process ?group", re.IGNORECASE)
"""What torch says when a conversation among ranks fails."""


def is_loss(error: BaseException) -> bool:
    """Whether an error means that another rank is gone."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and bool(_LOST.search(str(error)))
    )


@contextmanager
def loss_is_told(*, whatever: bool = False) -> Iterator[None]:
    """Raises TrainingInterrupted where another rank is gone. `whatever`: inside there is nothing but talk among ranks,
    so that any error means that."""
    try:
        yield
    except RuntimeError as error:
        if not (whatever or is_loss(error)):
            raise
        raise TrainingInterrupted(f"Another rank was lost: {first_line(error)}") from error


@contextmanager
def group_of_one() -> Iterator[Ranks]:
    """Inside, this process is the only rank of torch's default process group."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield Ranks.of_process_group()
    finally:
        dist.destroy_process_group()


ALONE = Ranks()
"""Of a training in one process."""
