"""Examples as training computes with them: padded batches, with the positions to learn from.

In: examples. Out: batches of hidden states after the frozen layers, with the step to learn at each position. It
neither changes nor saves weights.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sparklabel.label_trie import Step
from sparklabel.language_model.batches import length_sorted_batches
from sparklabel.language_model.model import LanguageModel
from sparklabel.language_model.partial_forward import DecoderStack, padded, upper_half
from sparklabel.language_model.training.examples import TrainingExample
from sparklabel.language_model.training.ranks import ALONE, Ranks

_PART_BATCHES = 2
"""A part of a training batch has at most this many times the tokens of a batch for scoring."""


class Sequences:
    """N training sequences, each a prompt and its answer's tokens.

    Layers below `first` are run once, when this is created, each sequence by one of the ranks. Their output is kept on
    every rank's device up to `cache_bytes`; for sequences beyond, it is computed again in each batch.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        examples: Sequence[TrainingExample],
        first: int,
        cache_bytes: int,
        ranks: Ranks = ALONE,
    ) -> None:
        self._model, self._first, self._ranks = language_model, first, ranks
        self._part_tokens = _PART_BATCHES * language_model.batch_tokens
        self._examples = examples
        self.lengths = [len(example.prompt) + len(example.answer) for example in examples]
        shortest = sorted(range(len(examples)), key=self.lengths.__getitem__)[:2]
        self._half = upper_half(language_model, first, self._ids(shortest))
        self._kept: dict[int, Tensor] = {}
        if self._half:
            self._stack = DecoderStack.of(language_model.model)
            self._keep(cache_bytes)

    def _keep(self, cache_bytes: int) -> None:
        width = self._stack.body.get_input_embeddings().weight.shape[1] * self._model.model.dtype.itemsize
        fits = cache_bytes // width
        chosen = []
        for index, length in enumerate(self.lengths):
            fits -= length
            if fits < 0:
                break
            chosen.append(index)
        lengths = [self.lengths[i] for i in chosen]
        batches = [
            [chosen[i] for i in batch]
            for batch in length_sorted_batches(lengths, 0, self._model.batch_tokens)
        ]
        for begin in range(0, len(batches), self._ranks.world_size):
            self._keep_round(batches[begin : begin + self._ranks.world_size])

    def _keep_round(self, batches: Sequence[Sequence[int]]) -> None:
        """Keeps a batch for each rank: each computes its own, and gets those of the others."""
        own = self._below(batches[self._ranks.rank]) if self._ranks.rank < len(batches) else None
        for source, indices in enumerate(batches):
            states = own if source == self._ranks.rank and own is not None else self._empty(indices)
            self._ranks.send(states, source)
            for index, kept in zip(indices, states, strict=True):
                self._kept[index] = kept[: self.lengths[index]].clone()

    def _empty(self, indices: Sequence[int]) -> Tensor:
        width = self._stack.body.get_input_embeddings().weight.shape[1]
        longest = max(self.lengths[i] for i in indices)
        return torch.empty(
            len(indices), longest, width, dtype=self._model.model.dtype, device=self._model.device
        )

    def _below(self, indices: Sequence[int]) -> Tensor:
        with torch.no_grad():
            return self._stack.below(self._first, self._ids(indices))

    def _ids(self, indices: Sequence[int]) -> Tensor:
        rows = [self._examples[i].prompt + self._examples[i].answer for i in indices]
        return padded(rows, self._model.device)[0]

    def parts(self, indices: Sequence[int]) -> list[list[int]]:
        """Divides a batch into parts that fit into memory with what their gradients need."""
        lengths = [self.lengths[i] for i in indices]
        return [[indices[i] for i in part] for part in length_sorted_batches(lengths, 0, self._part_tokens)]

    def halve_parts(self) -> None:
        """From now on parts have half the tokens: the last ones did not fit."""
        self._part_tokens //= 2

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, list[Step]]:
        """The states and positions [P] that `run` takes for these sequences, and the step at each position."""
        positions: list[int] = []
        steps: list[Step] = []
        longest = max(self.lengths[i] for i in indices)
        for row, index in enumerate(indices):
            example = self._examples[index]
            begin = row * longest + len(example.prompt) - 1
            positions += [begin + step.depth for step in example.steps]
            steps += example.steps
        return self._states(indices), torch.tensor(positions, device=self._model.device), steps

    def _states(self, indices: Sequence[int]) -> Tensor:
        if not self._half:
            return self._ids(indices)
        if all(index in self._kept for index in indices):
            return nn.utils.rnn.pad_sequence([self._kept[i] for i in indices], batch_first=True)
        return self._below(indices)

    def run(self, states: Tensor, positions: Tensor) -> Tensor:
        """Hidden states [P, D] after the final norm, with gradients."""
        if self._half:
            return self._half(states, positions)
        return self._model.hidden(states).flatten(0, 1)[positions]
