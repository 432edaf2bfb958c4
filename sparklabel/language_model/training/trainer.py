"""Fine-tunes a loaded language model on answered prompts: LoRA on the top layers.

In: prompts as token ids, each with its right answer. Out: an adapter folder in PEFT's layout. It knows no Spark, no
MLflow, no rows and no tasks.

The loss of a label is what scoring computes: at each branching node of its path, the softmax over the allowed options.
The loss of a written answer is over the whole vocabulary. The output of the frozen layers below the adapters is
computed once and kept.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_cosine_schedule_with_warmup

from sparklabel.errors import AnswersError
from sparklabel.language_model.model import LanguageModel
from sparklabel.language_model.partial_forward import decoder_depth
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.dataset import Sequences, TrainingExample
from sparklabel.language_model.training.lora import Adapter, adapted
from sparklabel.language_model.training.loss import AnswerLoss

_SORTED_BATCHES = 32
"""Lengths are sorted within this many batches: 3% of the tokens are padding then (9% with 8)."""


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """One optimizer step. `loss`: mean negative log-probability of the right answer in nats; `tokens` without padding;
    `seconds` since training began."""

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
    `config` has a number in place of each None."""

    steps: int
    examples: int
    loss: float
    tokens: int
    seconds: float
    frozen_seconds: float
    parameters: int
    config: TrainingConfig


OnStep = Callable[[StepMetrics], None]


def train_lora(
    language_model: LanguageModel,
    examples: Sequence[TrainingExample],
    config: TrainingConfig,
    folder: Path,
    on_step: OnStep | None = None,
    *,
    choices: int | None = None,
) -> TrainingSummary:
    """Trains an adapter and saves it. The same seed, examples, machine and number of threads give the same adapter.

    Args:
        language_model: the base; it is unchanged afterwards.
        examples: answered prompts, all of one kind.
        config: how to train.
        folder: where the adapter is saved, in PEFT's layout.
        on_step: called after each optimizer step.
        choices: how many choices the task has, which decides what `config` leaves open; None if answers are written.

    Raises:
        AnswersError: if there is nothing to learn from.
        ModelError: if the model cannot be adapted.
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
        sequences = Sequences(language_model, examples, layers.start, config.cache_bytes)
        frozen = time.perf_counter() - start
        loss = AnswerLoss(language_model, examples)
        with adapted(
            language_model.model, layers, config.target_modules, config.rank, config.lora_alpha
        ) as adapter:
            steps = list(_steps(sequences, loss, adapter, config, start, on_step))
            adapter.save(folder)
    last = [step.loss for step in steps if step.epoch == config.epochs]
    return TrainingSummary(
        steps=len(steps), examples=len(examples), loss=float(np.mean(last)), tokens=sum(s.tokens for s in steps),
        seconds=time.perf_counter() - start, frozen_seconds=frozen, parameters=adapter.parameters, config=config,
    )  # fmt: skip


def _steps(
    sequences: Sequences,
    loss: AnswerLoss,
    adapter: Adapter,
    config: TrainingConfig,
    start: float,
    on_step: OnStep | None,
) -> Iterator[StepMetrics]:
    optimizer = torch.optim.AdamW([adapter.master], config.learning_rate, weight_decay=config.weight_decay)
    plan = list(batches(sequences.lengths, config))
    schedule = cosine_schedule(optimizer, len(plan), config.warmup_ratio)
    for number, (epoch, batch) in enumerate(plan):
        (rate,) = schedule.get_last_lr()
        value, norm = adapter.backward(
            loss(sequences.run(states, positions), answers) / len(batch)
            for states, positions, answers in map(sequences.batch, sequences.parts(batch))
        )
        if torch.isfinite(norm):
            adapter.master.grad.mul_((config.max_grad_norm / (norm + 1e-6)).clamp(max=1.0))
            optimizer.step()
            schedule.step()
            adapter.refresh()
        tokens = sum(sequences.lengths[i] for i in batch)
        step = StepMetrics(
            number + 1, len(plan), epoch, value, rate, tokens, time.perf_counter() - start
        )  # fmt: skip
        if on_step:
            on_step(step)
        yield step


def batches(lengths: Sequence[int], config: TrainingConfig) -> Iterator[tuple[int, list[int]]]:
    """The (epoch, indices) of every step, epochs from 1: shuffled, sorted by length within groups of batches, and the
    batches shuffled again."""
    random = np.random.default_rng(config.seed)
    size, group = config.batch_size, config.batch_size * _SORTED_BATCHES
    for epoch in range(1, (config.epochs or 1) + 1):
        order = random.permutation(len(lengths))
        found: list[list[int]] = []
        for begin in range(0, len(order), group):
            chunk = sorted(order[begin : begin + group].tolist(), key=lambda i: lengths[i])
            found.extend(chunk[i : i + size] for i in range(0, len(chunk), size))
        for number in random.permutation(len(found)):
            yield epoch, found[number]


def cosine_schedule(optimizer: torch.optim.Optimizer, steps: int, warmup_ratio: float) -> LambdaLR:
    """Sets the learning rate of each of `steps` optimizer steps: from 0 linearly up to the optimizer's own rate, then
    down as a cosine that would reach 0 after the last one. A single step runs at the peak."""
    warmup = min(math.ceil(warmup_ratio * steps), steps - 1)
    schedule: LambdaLR = get_cosine_schedule_with_warmup(optimizer, warmup, steps)
    return schedule


def training_attention(language_model: LanguageModel) -> AbstractContextManager[None]:
    """Inside, training uses sparklabel's attention on CPUs, where torch's bfloat16 backward is slow, and the library's
    on GPUs. Both are causal, so padding on the right needs no mask."""
    return language_model.own_attention() if language_model.device.type == "cpu" else nullcontext()
