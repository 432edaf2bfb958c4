"""Fine-tunes a loaded language model on answered prompts: LoRA on the top layers.

In: prompts as token ids, each with its right answer. Out: an adapter folder in PEFT's layout. It knows no Spark, no
MLflow, no rows and no tasks.

The loss of a label is what scoring computes: at each branching node of its path, the softmax over the allowed options.
The loss of a written answer is over the whole vocabulary. The output of the frozen layers below the adapters is
computed once and kept. Several ranks share each batch, and add up their gradients: the batches, and the sums but for
rounding, are those of one rank.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparklabel.errors import AnswersError, ModelError, TrainingInterrupted
from sparklabel.language_model.memory_limits import free_device_memory, runs_within_memory
from sparklabel.language_model.model import LanguageModel
from sparklabel.language_model.partial_forward import decoder_depth
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.dataset import Sequences
from sparklabel.language_model.training.examples import TrainingExample
from sparklabel.language_model.training.lora import Adapter, adapted
from sparklabel.language_model.training.loss import AnswerLoss
from sparklabel.language_model.training.optimizer import AdapterOptimizer
from sparklabel.language_model.training.plan import TrainingPlan
from sparklabel.language_model.training.ranks import ALONE, Ranks
from sparklabel.progress import tell
from sparklabel.stored_records import read_record


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """One optimizer step. `loss`: mean negative log-probability of the right answer in nats; `tokens` without padding;
    `seconds` since training began, with those of earlier attempts."""

    step: int
    steps: int
    epoch: int
    loss: float
    learning_rate: float
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """What a training run did. `loss` is the last epoch's mean; `tokens` without padding, over all epochs;
    `frozen_seconds` is the part of `seconds` spent once on the frozen layers; `parameters` counts the trained ones;
    `config` has a number in place of each None; `digest` is a hash of the trained float32 weights."""

    steps: int
    examples: int
    loss: float
    tokens: int
    seconds: float
    frozen_seconds: float
    parameters: int
    config: TrainingConfig
    digest: str = ""

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "TrainingSummary":
        """What `asdict` gave, read back from JSON. Other keys are ignored."""
        return read_record(cls, dict(found) | {"config": TrainingConfig.from_dict(found["config"])})


OnStep = Callable[[StepMetrics], None]


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
    layers = range(depth - (config.top_layers or depth), depth)
    cuda = [language_model.device] if language_model.device.type == "cuda" else []
    with torch.random.fork_rng(cuda), training_attention(language_model):
        torch.manual_seed(config.seed)
        sequences = Sequences(language_model, examples, layers.start, config.cache_bytes, ranks)
        frozen = time.perf_counter() - start
        loss = AnswerLoss(language_model, examples)
        with adapted(
            language_model.model, layers, config.target_modules, config.rank, config.lora_alpha
        ) as adapter:
            training = _Training(sequences, loss, adapter, config, ranks, start)
            training.run(on_step, checkpoints)
            if not ranks.agree(adapter.digest):
                raise ModelError(
                    f"The {ranks.world_size} ranks ended with different weights.",
                    hint="Their hosts compute differently: give all the same kind of processor and the same versions.",
                )
            if ranks.rank == 0:
                adapter.save(folder)
    return TrainingSummary(
        steps=len(training.losses), examples=len(examples), loss=training.last_loss, tokens=training.tokens,
        seconds=training.seconds, frozen_seconds=frozen, parameters=adapter.parameters, config=config,
        digest=adapter.digest,
    )  # fmt: skip


class _Training:
    """The loop over a plan's steps. Its state: the losses of the steps that are done, and the optimizer's."""

    def __init__(
        self,
        sequences: Sequences,
        loss: AnswerLoss,
        adapter: Adapter,
        config: TrainingConfig,
        ranks: Ranks,
        start: float,
    ) -> None:
        self._sequences, self._loss, self._adapter, self._ranks = sequences, loss, adapter, ranks
        self._plan = TrainingPlan.of(sequences.lengths, config)
        self._optimizer = AdapterOptimizer(adapter, config, len(self._plan.steps))
        self._start, self._before = start, 0.0
        self.losses: list[float] = []

    @property
    def seconds(self) -> float:
        """Since it began, with those of earlier attempts."""
        return time.perf_counter() - self._start + self._before

    @property
    def last_loss(self) -> float:
        """The mean over the last epoch's steps."""
        pairs = zip(self._plan.steps, self.losses, strict=True)
        return float(np.mean([loss for step, loss in pairs if step.epoch == self._plan.epochs]))

    @property
    def tokens(self) -> int:
        return sum(self._sequences.lengths[i] for step in self._plan.steps for i in step.batch)

    def run(self, on_step: OnStep | None, checkpoints: Checkpoints | None) -> None:
        if checkpoints:
            self._resume(checkpoints)
        for number in range(len(self.losses), len(self._plan.steps)):
            planned, rate = self._plan.steps[number], self._optimizer.learning_rate
            loss, is_ending = self._together(self._gradient(planned.batch), checkpoints)
            self.losses.append(loss)
            self._optimizer.step()
            if on_step:
                tokens = sum(self._sequences.lengths[i] for i in planned.batch)
                on_step(
                    StepMetrics(
                        number + 1,
                        len(self._plan.steps),
                        planned.epoch,
                        self.losses[-1],
                        rate,
                        tokens,
                        self.seconds,
                    )
                )
            # After the step was told: what is told twice is seen, and what is never told is not.
            if checkpoints and self._ranks.rank == 0 and (is_ending or checkpoints.is_due):
                self._save(checkpoints, is_ending)
            if is_ending:
                raise TrainingInterrupted(f"The training was asked to end after step {number + 1}.")

    def _gradient(self, batch: Sequence[int]) -> float:
        """Puts this rank's part of the gradient of the batch's mean loss into the adapter; returns its loss.

        Where memory does not suffice for this rank's part, it is computed in smaller ones. No rank waits for another
        in the meantime: they only meet to add up.
        """
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

    def _together(self, loss: float, checkpoints: Checkpoints | None) -> tuple[float, bool]:
        """Adds up the ranks' gradients, and their losses; returns the loss, and whether any rank was asked to end."""
        is_ending = checkpoints is not None and checkpoints.end_asked
        if self._ranks.world_size == 1:
            return loss, is_ending
        gradient = self._adapter.gradient
        total = torch.cat([gradient, gradient.new_tensor([loss, float(is_ending)])])
        self._ranks.sum(total)
        gradient.copy_(total[:-2])
        return total[-2].item(), total[-1].item() > 0

    def _save(self, checkpoints: Checkpoints, is_ending: bool) -> None:
        tensors, facts = self._optimizer.state()
        values = {
            "plan": self._plan.digest, "losses": self.losses, "seconds": self.seconds,
            "world_size": self._ranks.world_size, "optimizer": facts,
        }  # fmt: skip
        try:
            checkpoints.save(len(self.losses), tensors, values)
        except ModelError as error:
            if is_ending:
                raise
            tell(f"{error.message} The training goes on.")

    def _resume(self, checkpoints: Checkpoints) -> None:
        found = checkpoints.newest()
        seen = f"{found.folder.parent.name}/{found.folder.name}" if found else ""
        if not self._ranks.agree(sha256(seen.encode()).hexdigest()):
            raise TrainingInterrupted(
                "The ranks do not see the same newest checkpoint.",
                hint="Does the file system that they share show all of them what one has written?",
            )
        if found is None:
            return
        tensors, values = found.load()
        if values["plan"] != self._plan.digest:
            raise ModelError(
                f"The checkpoint in {found.folder} is of a training with other examples or another order.",
                hint="Name another folder for the checkpoints, or delete that one.",
            )
        self._optimizer.restore(tensors, values["optimizer"])
        self.losses, self._before = list(values["losses"]), values["seconds"]


def training_attention(language_model: LanguageModel) -> AbstractContextManager[None]:
    """Inside, training uses sparklabel's attention on CPUs, where torch's bfloat16 backward is slow, and the library's
    on GPUs. Both are causal, so padding on the right needs no mask."""
    return language_model.own_attention() if language_model.device.type == "cpu" else nullcontext()
