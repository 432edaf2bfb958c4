"""Trains a loaded language model on packs: adapters, or all of its weights.

In: a folder of packs. Out: an adapter folder in PEFT's layout, or a model folder. It knows no Spark, no MLflow, no
rows and no tasks. Every rank has the whole model; `sharded` trains what does not fit one device.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from sparklabel.errors import AnswersError
from sparklabel.language_model.memory_limits import free_device_memory, runs_within_memory
from sparklabel.language_model.model import LanguageModel, best_batch_tokens, default_device
from sparklabel.language_model.partial_forward import decoder_depth
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.config import ALL, TrainingConfig
from sparklabel.language_model.training.flat_weights import FlatWeights
from sparklabel.language_model.training.full_weights import FullWeights, training_all
from sparklabel.language_model.training.loop import OnStep, TrainingLoop, TrainingSummary
from sparklabel.language_model.training.lora import Adapter, adapted
from sparklabel.language_model.training.memory_plan import device_bytes, model_sizes, plan_whole
from sparklabel.language_model.training.optimizer import FlatOptimizer
from sparklabel.language_model.training.pack_loss import (
    PackLoss,
    check_packs,
    microbatches,
    packing,
    pieces_of,
    recomputing,
)
from sparklabel.language_model.training.pack_order import PackPlan, PackReader, PackSteps, opened, shard_of
from sparklabel.language_model.training.packs import PackFolder
from sparklabel.language_model.training.ranks import ALONE, Ranks

_MICROBATCHES = 2
"""A microbatch has this many times the tokens of a batch for scoring, unless the config says how many."""
_CHECKED = 3
"""Pieces."""


def train_on_packs(
    language_model: LanguageModel,
    base: Path,
    packs: PackFolder,
    config: TrainingConfig,
    folder: Path,
    on_step: OnStep | None = None,
    *,
    ranks: Ranks = ALONE,
    checkpoints: Checkpoints | None = None,
) -> TrainingSummary:
    """Trains and saves. The same seed, packs, machine and number of threads give the same weights, also if the training
    was stopped and went on from a checkpoint.

    Args:
        language_model: The base; it is unchanged afterwards.
        base: The folder that it was loaded from.
        packs: What it learns.
        config: How to train.
        folder: Where the first rank saves an adapter, in PEFT's layout, or a whole model.
        on_step: Called after each optimizer step.
        ranks: This rank, and how many share the training; all give the same arguments.
        checkpoints: Where the training goes on from, and where the first rank writes.

    Raises:
        AnswersError: There is nothing to learn from.
        ModelError: The model cannot be trained in packs, the newest checkpoint is of another training, or the ranks end
            with different weights.
        TrainingInterrupted: A rank was lost, or one was asked to end and the checkpoint is written.
    """
    if not packs.manifest.packs:
        raise AnswersError("There is nothing to learn: no source has answers that train.")
    start = time.perf_counter()
    config = config.chosen_for_mixture(decoder_depth(language_model.model), packs.manifest.packs)
    check_packs(language_model, pieces_of(packs.read(0)[:1])[:_CHECKED])
    plan = PackPlan(packs.manifest, config.seed, config.epoch_count, config.step_size)
    cuda = [language_model.device] if language_model.device.type == "cuda" else []
    with (
        torch.random.fork_rng(cuda),
        packing(language_model),
        recomputing(language_model.model, activations=bool(config.activation_checkpointing)),
        _trained(language_model, base, config) as weights,
        opened(packs, plan) as reader,
    ):
        steps = _Replicas(language_model, reader, plan, weights, config, ranks)
        optimizer = FlatOptimizer(weights, config, steps.count, ranks)
        loop = TrainingLoop(steps, optimizer, ranks, start)
        loop.run(on_step, checkpoints)
        ranks.check_same(weights.digest)
        if ranks.rank == 0:
            weights.save(folder)
        return TrainingSummary(
            steps=steps.count, examples=packs.manifest.pieces, loss=loop.last_loss, tokens=steps.all_tokens,
            seconds=loop.seconds, frozen_seconds=0.0, parameters=weights.parameters, config=config,
            digest=weights.digest,
        )  # fmt: skip


def that_fits(base: Path, packs: PackFolder, config: TrainingConfig, ranks_here: int = 1) -> TrainingConfig:
    """The config, with how many tokens pass at once, and whether activations are computed again for want of memory.
    Raises ModelError if the model cannot be trained in this process, before it is loaded; so many ranks share the
    host's memory."""
    device = default_device()
    size = packs.manifest.size
    sizes = model_sizes(base, device, size, is_frozen=config.parameters != ALL)
    limit = device_bytes(device, ranks_here)
    most = config.microbatch_tokens or _MICROBATCHES * best_batch_tokens(device)
    plan = plan_whole(sizes, size, limit, most, checkpointing=config.activation_checkpointing)
    return replace(
        config, microbatch_tokens=plan.microbatch_tokens, activation_checkpointing=plan.checkpointing
    )


@contextmanager
def _trained(
    language_model: LanguageModel, base: Path, config: TrainingConfig
) -> Iterator[Adapter | FullWeights]:
    torch.manual_seed(config.seed)
    if config.parameters == ALL:
        with training_all(language_model, base) as weights:
            yield weights
        return
    layers = config.adapted_layers(decoder_depth(language_model.model))
    with adapted(
        language_model.model, layers, config.target_modules, config.rank, config.lora_alpha
    ) as adapter:
        yield adapter


class _Replicas(PackSteps):
    """The steps of ranks that each have the whole model."""

    def __init__(
        self,
        language_model: LanguageModel,
        reader: PackReader,
        plan: PackPlan,
        weights: FlatWeights,
        config: TrainingConfig,
        ranks: Ranks,
    ) -> None:
        super().__init__(reader, plan)
        self._weights, self._ranks = weights, ranks
        self._loss = PackLoss(language_model.model, trains_head=config.parameters == ALL)
        self._tokens = config.microbatch_tokens or _MICROBATCHES * language_model.batch_tokens

    def gradient(self, number: int) -> float:
        """Of the mean over all learned tokens of the step. Where memory does not suffice for this rank's part, it is
        computed in smaller ones. No rank waits for another in the meantime: they only meet to add up."""
        packs = self._reader.packs(number)
        learned = sum(pack.learned for pack in packs)
        own, loss = pieces_of(shard_of(packs, self._ranks.rank, self._ranks.world_size)), 0.0

        def work() -> None:
            nonlocal loss
            parts = microbatches(own, self._tokens)
            loss = self._weights.backward(self._loss(part) / learned for part in parts)

        while not runs_within_memory(
            work, divisible=any(len(part) > 1 for part in microbatches(own, self._tokens))
        ):
            free_device_memory()
            self._tokens //= 2
        return loss
