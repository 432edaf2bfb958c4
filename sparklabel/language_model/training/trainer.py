"""Fine-tunes a loaded language model on answered prompts: LoRA on the top layers.

In: prompts as token ids, each with its right answer. Out: an adapter folder in PEFT's layout. It knows no Spark, no
MLflow, no rows and no tasks.

The loss of a label is what scoring computes: at each branching node of its path, the softmax over the allowed options.
The loss of a written answer is over the whole vocabulary. The output of the frozen layers below the adapters is
computed once and kept. Several ranks share each batch, and add up their gradients: the batches, and the sums but for
rounding, are those of one rank.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from sparklabel.errors import AnswersError
from sparklabel.language_model.memory_limits import free_device_memory, runs_within_memory
from sparklabel.language_model.model import LanguageModel
from sparklabel.language_model.partial_forward import decoder_depth
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.dataset import Sequences
from sparklabel.language_model.training.examples import TrainingExample
from sparklabel.language_model.training.loop import OnStep, TrainingLoop, TrainingSummary
from sparklabel.language_model.training.lora import Adapter, adapted
from sparklabel.language_model.training.loss import AnswerLoss
from sparklabel.language_model.training.optimizer import FlatOptimizer
from sparklabel.language_model.training.plan import TrainingPlan
from sparklabel.language_model.training.ranks import ALONE, Ranks


def train_lora(
    language_model: LanguageModel,
    examples: Sequence[TrainingExample],
    config: TrainingConfig,
    folder: Path,
    on_step: OnStep | None = None,
    *,
    choices: int | None = None,
    ranks: Ranks = ALONE,
    checkpoints: Checkpoints | None = None,
) -> TrainingSummary:
    """Trains an adapter and saves it. The same seed, examples, machine and number of threads give the same adapter,
    also if the training was stopped and went on from a checkpoint.

    Args:
        language_model: the base; it is unchanged afterwards.
        examples: answered prompts, all of one kind.
        config: how to train.
        folder: where the adapter is saved, in PEFT's layout, by the first rank.
        on_step: called after each optimizer step.
        choices: how many choices the task has, which decides what `config` leaves open; None if answers are written.
        ranks: this rank, and how many share the training; all give the same arguments.
        checkpoints: where the training goes on from, and where the first rank writes.

    Raises:
        AnswersError: if there is nothing to learn from.
        ModelError: if the model cannot be adapted, the newest checkpoint is of another training, or the ranks end with
            different weights.
        TrainingInterrupted: if a rank was lost, or one was asked to end and the checkpoint is written.
    """
    if not examples:
        raise AnswersError("There is nothing to learn: no answers, or only one label.")
    start = time.perf_counter()
    depth = decoder_depth(language_model.model)
    config = config.chosen_for(depth, choices, len(examples))
    layers = config.adapted_layers(depth)
    cuda = [language_model.device] if language_model.device.type == "cuda" else []
    with torch.random.fork_rng(cuda), training_attention(language_model):
        torch.manual_seed(config.seed)
        sequences = Sequences(language_model, examples, layers.start, config.cache_bytes, ranks)
        frozen = time.perf_counter() - start
        loss = AnswerLoss(language_model, examples)
        with adapted(
            language_model.model, layers, config.target_modules, config.rank, config.lora_alpha
        ) as adapter:
            batches = _Batches(sequences, loss, adapter, config, ranks)
            training = TrainingLoop(
                batches, FlatOptimizer(adapter, config, batches.count, ranks), ranks, start
            )
            training.run(on_step, checkpoints)
            ranks.check_same(adapter.digest)
            if ranks.rank == 0:
                adapter.save(folder)
    return TrainingSummary(
        steps=batches.count, examples=len(examples), loss=training.last_loss, tokens=batches.all_tokens,
        seconds=training.seconds, frozen_seconds=frozen, parameters=adapter.parameters, config=config,
        digest=adapter.digest,
    )  # fmt: skip


class _Batches:
    """The steps of a training on examples: batches of them, of which each rank takes a share."""

    def __init__(
        self, sequences: Sequences, loss: AnswerLoss, adapter: Adapter, config: TrainingConfig, ranks: Ranks
    ) -> None:
        self._sequences, self._loss, self._adapter, self._ranks = sequences, loss, adapter, ranks
        self._plan = TrainingPlan.of(sequences.lengths, config)

    @property
    def digest(self) -> str:
        return self._plan.digest

    @property
    def count(self) -> int:
        return len(self._plan.steps)

    def epoch(self, number: int) -> int:
        return self._plan.steps[number].epoch

    def tokens(self, number: int) -> int:
        return sum(self._sequences.lengths[i] for i in self._plan.steps[number].batch)

    @property
    def all_tokens(self) -> int:
        return sum(self._sequences.lengths[i] for step in self._plan.steps for i in step.batch)

    def gradient(self, number: int) -> float:
        """Where memory does not suffice for this rank's part, it is computed in smaller ones. No rank waits for another
        in the meantime: they only meet to add up."""
        batch = self._plan.steps[number].batch
        own, loss = self._ranks.share(batch), 0.0

        def work() -> None:
            nonlocal loss
            loss = self._adapter.backward(
                self._loss(self._sequences.run(states, positions), answers) / len(batch)
                for states, positions, answers in map(self._sequences.batch, self._sequences.parts(own))
            )

        while not runs_within_memory(
            work, divisible=any(len(part) > 1 for part in self._sequences.parts(own))
        ):
            free_device_memory()
            self._sequences.halve_parts()
        return loss


def training_attention(language_model: LanguageModel) -> AbstractContextManager[None]:
    """Inside, training uses sparklabel's attention on CPUs, where torch's bfloat16 backward is slow, and the library's
    on GPUs. Both are causal, so padding on the right needs no mask."""
    return language_model.own_attention() if language_model.device.type == "cpu" else nullcontext()
