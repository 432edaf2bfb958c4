"""Answered prompts as training wants them: token sequences with the places to learn from, and the loss there.

In: examples and the label trie. Out: batches of hidden states (frozen layers applied, kept within a bound), and the
summed negative log-probability of the right labels. It neither changes nor saves weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparklabel.constraints import LabelTrie, Step
from sparklabel.language_model.heads import OptionHead
from sparklabel.language_model.layers import DecoderStack, padded, upper_half
from sparklabel.language_model.model import LanguageModel, length_sorted_batches


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A prompt's token ids, up to where the answer begins, and the number of the right label."""

    prompt: tuple[int, ...]
    label: int


@dataclass(frozen=True, slots=True)
class _Sequence:
    ids: tuple[int, ...]
    answer_at: int
    steps: tuple[Step, ...]


class Sequences:
    """N training sequences: each prompt, and its label's tokens up to the last branching node.

    Layers below `first` run once, here; their output is kept on the model's device while it fits `cache_bytes`, and
    is computed again for each batch beyond that.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        examples: Sequence[TrainingExample],
        trie: LabelTrie,
        first: int,
        cache_bytes: int,
    ) -> None:
        self._model, self._first = language_model, first
        steps = [trie.steps(label) for label in range(len(trie.paths))]
        self._items = [_sequence(example, trie, steps[example.label]) for example in examples]
        self.lengths = [len(item.ids) for item in self._items]
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
        for batch in length_sorted_batches([self.lengths[i] for i in chosen], 0, self._model.batch_tokens):
            indices = [chosen[i] for i in batch]
            for index, states in zip(indices, self._below(indices), strict=True):
                self._kept[index] = states[: self.lengths[index]].clone()

    def _below(self, indices: Sequence[int]) -> Tensor:
        with torch.no_grad():
            return self._stack.below(self._first, self._ids(indices))

    def _ids(self, indices: Sequence[int]) -> Tensor:
        return padded([self._items[i].ids for i in indices], self._model.device)[0]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, list[Step]]:
        """What `run` takes for these sequences, and the branching node that each of its P places is at."""
        places: list[int] = []
        steps: list[Step] = []
        longest = max(self.lengths[i] for i in indices)
        for row, index in enumerate(indices):
            item = self._items[index]
            places += [row * longest + item.answer_at + step.depth for step in item.steps]
            steps += item.steps
        return self._states(indices), torch.tensor(places, device=self._model.device), steps

    def _states(self, indices: Sequence[int]) -> Tensor:
        if not self._half:
            return self._ids(indices)
        if all(index in self._kept for index in indices):
            return nn.utils.rnn.pad_sequence([self._kept[i] for i in indices], batch_first=True)
        return self._below(indices)

    def run(self, states: Tensor, places: Tensor) -> Tensor:
        """Hidden states [P, D] after the final norm, with gradients."""
        if self._half:
            return self._half(states, places)
        return self._model.hidden(states).flatten(0, 1)[places]


def _sequence(example: TrainingExample, trie: LabelTrie, steps: tuple[Step, ...]) -> _Sequence:
    taken = max((step.depth for step in steps), default=0)
    return _Sequence((*example.prompt, *trie.paths[example.label][:taken]), len(example.prompt) - 1, steps)


class AnswerLoss:
    """The scorer's definition of a label's probability, differentiable."""

    def __init__(self, language_model: LanguageModel, trie: LabelTrie) -> None:
        stops = language_model.tokenizer.stop_ids
        self._head = OptionHead(language_model.model, stops, trie.option_tokens)
        self._device = language_model.device

    def __call__(self, hidden: Tensor, steps: Sequence[Step]) -> Tensor:
        """Hidden states [P, D] at P branching nodes -> the summed negative log-probability of the right options."""
        columns = [torch.tensor([self._head.column[token] for token in step.options]) for step in steps]
        # Short lists of options are filled up with a column that is masked out.
        allowed = nn.utils.rnn.pad_sequence(columns, batch_first=True, padding_value=-1).to(self._device)
        offered = self._head(hidden).gather(1, allowed.clamp(min=0)).masked_fill(allowed < 0, float("-inf"))
        targets = torch.tensor([step.target for step in steps], device=self._device)
        return nn.functional.cross_entropy(offered, targets, reduction="sum")
