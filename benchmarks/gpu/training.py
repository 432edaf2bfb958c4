"""Fine-tuning against a bare forward and backward pass through the same layers over as many tokens a step.

LoRA is sparklabel's own training with its default recipe: adapters in the top layers, AdamW, the layers below run
once. The full step takes the same examples and loss through all decoder layers, with gradients for each of their
weights, and subtracts them (SGD without state: AdamW's state would not fit beside 8 billion weights). The embedding
and the output matrix are not trained. Bare: random states of full length, transformers' own attention, no loss, no
optimizer; gradients are for what the step trains (full) or the states alone (LoRA, whose weights are frozen).

    tokens/s        tokens that are no padding by seconds, everything in a step included; the first step warms up
    of bare         tokens/s by those of the bare pass
    bare of peak    4 FLOP a weight and token (states' gradients) or 6 (weights' too) by seconds and peak
    peak GiB        the most that was allocated in the step, weights included
    adding up       one all-reduce of the adapter's gradient in a process group of one
    same weights    1 if the rank's adapter is the same, bit by bit
    loss            of the full step, on one batch again and again: mean negative log-probability of the right label
"""

import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.gpu.device import GIB
from benchmarks.gpu.kit import Kit
from benchmarks.gpu.models import weights_trained
from benchmarks.gpu.ours import (
    AnswerLoss,
    DecoderStack,
    LanguageModel,
    Ranks,
    Sequences,
    StepMetrics,
    TrainingConfig,
    TrainingExample,
    TrainingSummary,
    choice_examples,
    decoder_depth,
    train_lora,
    training_attention,
)
from benchmarks.gpu.prompts import rows_of, trie_of
from benchmarks.gpu.table import SKIPPED, Line

_LABELS = 2
_ROWS, _TOKENS = 16, {True: 256, False: 64}
"""In a batch, as the recipe has it; tokens of a prompt on a GPU, and on a CPU."""
_STEPS = 12
_ROUNDS = 4
_RATE = 1e-4


def measure(kit: Kit, model: str) -> Iterator[Line]:
    """A line for LoRA, one for a rank, and one for the full step, which is skipped where it does not fit."""
    training = Training(kit, kit.models.engine(model).language_model)
    yield Line("training", model, "LoRA", training.lora())
    kit.device.free()
    yield Line("training", model, "LoRA, one rank", training.rank())
    kit.device.free()
    missing = training.missing()
    if missing > 0:
        note = f"weights, gradients and activations would take {missing / GIB:.0f} GiB more than there are"
        yield Line("training", model, "all weights", status=SKIPPED, note=note)
        return
    yield Line("training", model, "all weights", training.full())


@contextmanager
def _process_group(on_gpu: bool) -> Iterator[tuple[Ranks, float]]:
    """A group of this process alone, and the seconds that it took to meet."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    alone = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    before = {name: os.environ.get(name) for name in alone}
    os.environ |= alone
    begun = time.monotonic()
    try:
        ranks = Ranks.meet("nccl" if on_gpu else "gloo", timedelta(minutes=1))
        yield ranks, time.monotonic() - begun
    finally:
        dist.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class Training:
    """A model, and answered prompts with 2 labels."""

    def __init__(self, kit: Kit, model: LanguageModel) -> None:
        self._device, self._peak, self._seconds = kit.device, kit.peak, kit.seconds
        self._model, self._depth = model, decoder_depth(model.model)
        self._tokens = _TOKENS[kit.device.is_gpu]
        trie = trie_of(_LABELS, model.tokenizer)
        rows = rows_of(_ROWS * _STEPS, self._tokens, model.model.config.vocab_size, seed=5)
        self.examples: list[TrainingExample] = choice_examples(
            ((row, number % _LABELS) for number, row in enumerate(rows)), trie
        )

    def lora(self) -> dict[str, Any]:
        """Figures of one epoch."""
        config = TrainingConfig(epochs=1).chosen_for(self._depth, _LABELS, len(self.examples))
        layers, steps = config.top_layers or self._depth, list[StepMetrics]()

        def train() -> tuple[TrainingSummary, int]:
            with tempfile.TemporaryDirectory() as folder:
                summary = train_lora(self._model, self.examples, config, Path(folder), steps.append)
            return summary, self._device.peak()

        bare, (summary, peak) = self._between(train, layers, trained=False)
        seconds = steps[-1].seconds - steps[0].seconds
        rate = sum(step.tokens for step in steps[1:]) / seconds
        return {
            "layers": layers, "ms a step": 1000 * seconds / (len(steps) - 1), **self._against(rate, bare, layers, 4),
            "peak GiB": peak / GIB, "trained weights": summary.parameters,
            "frozen tokens/s": sum(step.tokens for step in steps) / summary.frozen_seconds,
        }  # fmt: skip

    def rank(self) -> dict[str, Any]:
        """The same training by a rank of a process group of one, and how long adding up one gradient takes then: a
        kernel's start without a connection, the least that several could need."""
        config = TrainingConfig(epochs=1).chosen_for(self._depth, _LABELS, len(self.examples))
        with tempfile.TemporaryDirectory() as folder, _process_group(self._device.is_gpu) as (ranks, met):
            alone: list[StepMetrics] = []
            first = train_lora(self._model, self.examples, config, Path(folder), alone.append)
            steps: list[StepMetrics] = []
            second = train_lora(self._model, self.examples, config, Path(folder), steps.append, ranks=ranks)
            gradient = torch.ones(first.parameters, device=self._device.name)
            adding = statistics.median(self._device.rounds(lambda: dist.all_reduce(gradient), _ROUNDS, 1.0))
        seconds = (steps[-1].seconds - steps[0].seconds) / (len(steps) - 1)
        return {
            "ms a step": 1000 * seconds, "ms adding up": 1000 * adding, "adding up of a step": adding / seconds,
            "seconds to meet": met, "same weights": int(first.digest == second.digest),
        }  # fmt: skip

    def full(self) -> dict[str, Any]:
        """Figures of steps on the first batch. `loss before` and `loss after` are in nats."""
        losses: list[float] = []

        def train() -> tuple[list[float], int, int]:
            with weights_trained(self._model.model, True), training_attention(self._model):
                step, tokens = self._full_step(losses)
                found = self._device.rounds(step, _ROUNDS, 0.3 * self._seconds)
            return found, tokens, self._device.peak()

        bare, (found, tokens, peak) = self._between(train, self._depth, trained=True)
        seconds = statistics.median(found)
        return {
            "layers": self._depth, "ms a step": 1000 * seconds, **self._against(tokens / seconds, bare, self._depth, 6),
            "peak GiB": peak / GIB, "trained weights": sum(p.numel() for p in self._layers(0).parameters()),
            "loss before": losses[0], "loss after": losses[-1],
        }  # fmt: skip

    def _between(self, train: Callable[[], Any], layers: int, trained: bool) -> tuple[float, Any]:
        """The bare pass's tokens a second before and after, since machines are shared; and what `train` gives."""
        first = self._depth - layers
        before = self._bare(first, trained)
        self._device.free()
        self._device.forget_peak()
        made = train()
        return 2 / (1 / before + 1 / self._bare(first, trained)), made

    def _full_step(self, losses: list[float]) -> tuple[Callable[[], None], int]:
        """A step on the first batch, again and again, and how many tokens it has."""
        examples = self.examples[:_ROWS]
        sequences, loss_of = Sequences(self._model, examples, 0, 0), AnswerLoss(self._model, examples)
        optimizer = torch.optim.SGD(self._layers(0).parameters(), lr=_RATE, foreach=True)

        def step() -> None:
            total = 0.0
            for part in sequences.parts(range(len(examples))):
                states, places, answers = sequences.batch(part)
                loss = loss_of(sequences.run(states, places), answers) / len(examples)
                loss.backward()
                total += loss.item()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(total)

        return step, sum(sequences.lengths)

    def _bare(self, first: int, trained: bool) -> float:
        """Tokens a second, forward and backward, through the layers from `first` on."""
        half = DecoderStack.of(self._model.model).above(first, narrow=False)
        shape = (_ROWS, self._tokens, self._model.model.config.hidden_size)
        states = torch.randn(*shape, dtype=self._model.model.dtype, device=self._device.name).requires_grad_()
        places = torch.arange(_ROWS * self._tokens, device=self._device.name)

        def work() -> None:
            made = half(states, places)
            made.backward(torch.ones_like(made))

        self._model.model.requires_grad_(False)
        with weights_trained(self._layers(first), trained), training_attention(self._model):
            found = self._device.rounds(work, _ROUNDS, 0.1 * self._seconds)
        return _ROWS * self._tokens / statistics.median(found)

    def _against(self, rate: float, bare: float, layers: int, flop: int) -> dict[str, Any]:
        weights = sum(p.numel() for p in self._layers(self._depth - layers).parameters() if p.dim() == 2)
        return {
            "tokens/s": rate, "bare tokens/s": bare, "of bare": rate / bare,
            "bare of peak": flop * weights * bare / self._peak,
        }  # fmt: skip

    def _layers(self, first: int) -> torch.nn.ModuleList:
        return DecoderStack.of(self._model.model).layers[first:]

    def missing(self) -> int:
        """Bytes that the full step would take beyond what the card has left: gradients as large as the weights, and
        about 8 hidden and 4 intermediate states a token and layer."""
        left, config = self._device.left(), self._model.model.config
        if left is None:
            return 0
        size = self._model.model.dtype.itemsize
        gradients = sum(p.numel() for p in self._model.model.parameters()) * size
        states = (8 * config.hidden_size + 4 * config.intermediate_size) * self._depth * size
        return int(gradients + 1.5 * states * _ROWS * self._tokens - left)
