"""A training on packs by one process or several: whether they divide the model among them, and how much passes through
it at once.

In: a base's folder, packs, this rank. Out: an adapter folder in PEFT's layout, or a model folder. It knows no Spark.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
import torch.distributed as dist

from sparklabel.errors import ModelError
from sparklabel.language_model.memory_limits import is_out_of_memory
from sparklabel.language_model.model import LanguageModel
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.config import ALL, LORA, TrainingConfig
from sparklabel.language_model.training.loop import OnStep, TrainingSummary
from sparklabel.language_model.training.memory_plan import (
    MemoryPlan,
    check_host_holds,
    device_bytes,
    model_sizes,
    plan_memory,
    weights_bytes,
)
from sparklabel.language_model.training.pack_trainer import that_fits, train_on_packs
from sparklabel.language_model.training.packs import PackFolder
from sparklabel.language_model.training.ranks import ALONE, Ranks, group_of_one, loss_is_told
from sparklabel.language_model.training.sharded_model import check_torch
from sparklabel.language_model.training.sharded_optimizer import PARTS
from sparklabel.language_model.training.sharded_trainer import MicrobatchTooLarge, train_sharded

_LARGEST_REPLICA = 0.6
"""The share of a device that a frozen base may take before it is divided among the ranks."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """What memory did not hold in an earlier attempt."""

    tokens: int
    checkpointing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PackTraining:
    """What is trained. `load` loads the whole base in this process."""

    base: Path
    packs: PackFolder
    config: TrainingConfig
    folder: Path
    on_step: OnStep | None
    checkpoints: Checkpoints | None
    device: torch.device
    load: Callable[[], LanguageModel]

    def run(
        self, ranks: Ranks = ALONE, ranks_here: int = 1, tried: TooLarge | None = None
    ) -> TrainingSummary:
        """Trains in this rank; all give the same arguments.

        Args:
            ranks: This rank, and how many there are.
            ranks_here: How many of them share this host's memory.
            tried: What an earlier attempt had no memory for.

        Raises:
            MicrobatchTooLarge: A rank that shares the model with others ran out of memory.
            ModelError, AnswersError, SetupError, TrainingInterrupted: As `train_on_packs` and `train_sharded`.
        """
        if not self._is_sharded(ranks, ranks_here):
            return self._whole(ranks, ranks_here)
        with nullcontext(ranks) if dist.is_initialized() else group_of_one() as group, loss_is_told():
            try:
                return self._divided(group, ranks_here, tried)
            except MicrobatchTooLarge as large:
                if group.world_size > 1:
                    raise
                raise ModelError(
                    f"Memory does not hold {large.tokens:,} tokens at once.",
                    hint="Lower microbatch_tokens, or divide the model among more processes: num_processes=2.",
                ) from large

    def _is_sharded(self, ranks: Ranks, ranks_here: int) -> bool:
        """Whether the ranks divide the model among them: if there is a checkpoint of all weights, as it was written.
        All ranks say the same."""
        newest = self.checkpoints.newest() if self.checkpoints else None
        if self.config.parameters == ALL:
            written = 0 if newest is None else 2 if (newest.folder / PARTS).is_dir() else 1
            if (seen := ranks.least(written)) > 0:
                return seen == 2
        if self.config.shard is not None:
            return self.config.shard
        if self.config.parameters == ALL or ranks.world_size == 1:
            return ranks.world_size > 1
        most = _LARGEST_REPLICA * device_bytes(self.device, ranks_here)
        return ranks.least(-int(weights_bytes(self.base, self.device) > most)) < 0

    def _whole(self, ranks: Ranks, ranks_here: int) -> TrainingSummary:
        config = that_fits(self.base, self.packs, self.config, ranks_here)
        model = self.load()
        check_alike(model, ranks)
        return train_on_packs(
            model, self.base, self.packs, config, self.folder, self.on_step, ranks=ranks,
            checkpoints=self.checkpoints,
        )  # fmt: skip

    def _divided(self, ranks: Ranks, ranks_here: int, tried: TooLarge | None) -> TrainingSummary:
        check_torch()
        size, config = self.packs.manifest.size, self.config
        sizes = model_sizes(self.base, self.device, size, is_frozen=config.parameters == LORA)
        most, again = None, config.activation_checkpointing
        if tried is not None and tried.tokens > size:
            most, again = tried.tokens // 2, tried.checkpointing or again
        elif tried is not None and (tried.checkpointing or again is False):
            raise ModelError(
                f"Memory does not hold a single pack of {size:,} tokens on each of {ranks.world_size} devices.",
                hint="Give more processes, lower max_tokens, or train adapters: parameters='lora'.",
            )
        elif tried is not None:
            most, again = size, True
        if self.device.type != "cpu":
            check_host_holds(sizes, ranks.world_size, ranks_here)
        plan = plan_memory(
            sizes, ranks.world_size, size, device_bytes(self.device, ranks_here),
            microbatch_tokens=config.microbatch_tokens, most_tokens=most, checkpointing=again,
        )  # fmt: skip
        agreed = MemoryPlan(
            ranks.least(plan.microbatch_tokens), ranks.least(-int(plan.checkpointing)) < 0, plan.bytes
        )
        with _want_of_memory_is_told(agreed):
            return train_sharded(
                self.base, self.packs, config.chosen_for_mixture(sizes.layers, self.packs.manifest.packs),
                self.folder, self.on_step, ranks=ranks, plan=agreed, device=self.device,
                checkpoints=self.checkpoints,
            )  # fmt: skip


def check_alike(model: LanguageModel, ranks: Ranks) -> None:
    """Raises ModelError unless all ranks compute in the same type on the same kind of device."""
    if not ranks.agree(sha256(f"{model.model.dtype} {model.device.type}".encode()).hexdigest()):
        raise ModelError(
            f"Rank {ranks.rank} computes in {model.model.dtype} on {model.device.type}, and another one otherwise.",
            hint="Give all ranks the same kind of processor: use_gpu=True, or use_gpu=False.",
        )


@contextmanager
def _want_of_memory_is_told(plan: MemoryPlan) -> Iterator[None]:
    """Raises MicrobatchTooLarge wherever memory runs out: while weights are read, or in the optimizer's first step."""
    try:
        yield
    except MicrobatchTooLarge:
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MicrobatchTooLarge(plan.microbatch_tokens, checkpointing=plan.checkpointing) from error
