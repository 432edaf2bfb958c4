"""Trains a model that is divided among ranks, on packs: all of its weights, or adapters beside them.

In: a base's folder, a folder of packs. Out: a model folder, or an adapter's. It knows no Spark, no MLflow, no rows and
no tasks. The losses and steps are those of one rank, but for rounding.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from sparklabel.errors import AnswersError
from sparklabel.hashing import file_sha256
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.config import ALL, TrainingConfig
from sparklabel.language_model.training.loop import OnStep, TrainingLoop, TrainingSummary
from sparklabel.language_model.training.lora import Adapter
from sparklabel.language_model.training.memory_plan import MemoryPlan
from sparklabel.language_model.training.optimizer import FlatOptimizer
from sparklabel.language_model.training.pack_loss import PackedPiece, PackLoss, pieces_of
from sparklabel.language_model.training.pack_order import PackPlan, PackReader, PackSteps, opened, shard_of
from sparklabel.language_model.training.packs import Pack, PackFolder
from sparklabel.language_model.training.ranks import Ranks
from sparklabel.language_model.training.sharded_model import load_adapted, load_sharded, save_sharded
from sparklabel.language_model.training.sharded_optimizer import ShardedOptimizer

_FILES_PATIENCE = timedelta(hours=12)
"""How long ranks wait for the one that reads or writes the slowest: files of a large model take long."""


class MicrobatchTooLarge(MemoryError):
    """This rank ran out of memory. All ranks must begin again with less at once: a lone one that goes on waits for the
    others' messages, which never come."""

    def __init__(self, tokens: int, *, checkpointing: bool) -> None:
        self.tokens, self.checkpointing = tokens, checkpointing
        super().__init__(f"memory does not hold microbatches of {tokens:,} tokens")


def train_sharded(
    base: Path,
    packs: PackFolder,
    config: TrainingConfig,
    folder: Path,
    on_step: OnStep | None = None,
    *,
    ranks: Ranks,
    plan: MemoryPlan,
    device: torch.device,
    checkpoints: Checkpoints | None = None,
) -> TrainingSummary:
    """Trains and saves, in the ranks of torch's default process group.

    Args:
        base: The base's folder.
        packs: What it learns.
        config: How to train; complete (`TrainingConfig.chosen_for_mixture`).
        folder: Where the ranks together save the model, or the first one the adapter.
        on_step: Called after each optimizer step.
        ranks: This rank, and how many share the training; all give the same arguments.
        plan: How many tokens pass through the model at once.
        device: This rank's.
        checkpoints: Where the training goes on from, and where the ranks write.

    Raises:
        AnswersError: There is nothing to learn from.
        ModelError: The model cannot be divided, or the newest checkpoint is of another training.
        MemoryError, RuntimeError: Memory ran out.
        TrainingInterrupted: A rank was lost, or one was asked to end and the checkpoint is written.
    """
    if not packs.manifest.packs:
        raise AnswersError("There is nothing to learn: no source has answers that train.")
    start = time.perf_counter()
    torch.manual_seed(config.seed)
    adapter: Adapter | None = None
    files = dist.new_group(backend="gloo", timeout=_FILES_PATIENCE)
    if config.parameters == ALL:
        loss = load_sharded(base, device, files, checkpointing=plan.checkpointing)
    else:
        loss, adapter = load_adapted(base, device, files, config, checkpointing=plan.checkpointing)
    order = PackPlan(packs.manifest, config.seed, config.epoch_count, config.step_size)
    with opened(packs, order) as reader:
        steps = _Shards(loss, adapter, reader, order, ranks, plan.microbatch_tokens)
        optimizer = (
            FlatOptimizer(adapter, config, steps.count, ranks)
            if adapter
            else ShardedOptimizer(loss, config, steps.count, ranks, files)
        )
        loop = TrainingLoop(steps, optimizer, ranks, start)
        loop.run(on_step, checkpoints)
    if adapter is None:
        save_sharded(loss.model, base, folder, ranks.rank, files)
        digest = ranks.told_by_first(_files_digest(folder) if ranks.rank == 0 else "")
    else:
        digest = adapter.digest
        ranks.check_same(digest)
    if adapter and ranks.rank == 0:
        adapter.save(folder)
    return TrainingSummary(
        steps=steps.count, examples=packs.manifest.pieces, loss=loop.last_loss, tokens=steps.all_tokens,
        seconds=loop.seconds, frozen_seconds=0.0, config=config, digest=digest,
        parameters=adapter.parameters if adapter else sum(p.numel() for p in loss.parameters()),
    )  # fmt: skip


def _files_digest(folder: Path) -> str:
    """What all ranks wrote together."""
    return sha256("".join(map(file_sha256, sorted(folder.glob("*.safetensors")))).encode()).hexdigest()


class _Shards(PackSteps):
    """The steps of ranks that share a model. All run it equally often, since each run is a conversation."""

    def __init__(
        self,
        loss: PackLoss,
        adapter: Adapter | None,
        reader: PackReader,
        plan: PackPlan,
        ranks: Ranks,
        microbatch_tokens: int,
    ) -> None:
        super().__init__(reader, plan)
        self._loss, self._adapter, self._ranks = loss, adapter, ranks
        self._packs_at_once = max(1, microbatch_tokens // plan.manifest.size)

    def gradient(self, number: int) -> float:
        """Of the mean over all learned tokens of the step."""
        packs, world = self._reader.packs(number), self._ranks.world_size
        learned = sum(pack.learned for pack in packs)
        own = list(shard_of(packs, self._ranks.rank, world))
        rounds = -(-len(shard_of(packs, 0, world)) // self._packs_at_once)

        def losses() -> Iterator[Tensor]:
            for turn in range(rounds):
                part = own[turn * self._packs_at_once : (turn + 1) * self._packs_at_once]
                pieces, weight = (pieces_of(part), 1.0) if part else (_any_piece(packs), 0.0)
                yield self._loss(pieces) * (weight / learned)

        return self._adapter.backward(losses()) if self._adapter else self._backward(losses())

    def _backward(self, losses: Iterable[Tensor]) -> float:
        """The ranks' gradients are averaged on the way, and their sum is wanted. Each round's are: kept until the last
        one, they would be those of the whole model, on every rank."""
        total = 0.0
        for loss in losses:
            (loss * self._ranks.world_size).backward()
            total += loss.item()
        return total


def _any_piece(packs: list[Pack]) -> list[PackedPiece]:
    """For a rank that has no pack left in a round."""
    return pieces_of(packs[:1])[:1]
