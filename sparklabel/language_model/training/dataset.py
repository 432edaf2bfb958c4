"""Answered prompts as training wants them: token sequences, with the positions to learn from.

In: examples, of choices or of written answers. Out: batches of hidden states (frozen layers applied, kept within a
bound) with the steps to learn at each. It neither changes nor saves weights.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparklabel.label_trie import LabelTrie, Step, TokenPath
from sparklabel.language_model.model import LanguageModel, length_sorted_batches
from sparklabel.language_model.partial_forward import DecoderStack, padded, upper_half

_PART_BATCHES = 2
"""How many batches of scoring, in tokens, a part of a training batch may hold."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A prompt's token ids, up to where the answer begins; the answer's tokens, as far as the model must read them;
    and what it should learn, at least one step."""

    prompt: TokenPath
    answer: TokenPath
    steps: tuple[Step, ...]


def choice_examples(chosen: Iterable[tuple[TokenPath, int]], trie: LabelTrie) -> list[TrainingExample]:
    """Of prompts with the number of the right label: learned is what scoring reads, the branching nodes of its path.
    Labels without one (a task with one label) are left out."""
    steps = [trie.steps(label) for label in range(len(trie.paths))]
    return [
        TrainingExample(prompt, trie.paths[label][: max(step.depth for step in steps[label])], steps[label])
        for prompt, label in chosen
        if steps[label]
    ]


def text_examples(written: Iterable[tuple[TokenPath, TokenPath]], stop: int) -> list[TrainingExample]:
    """Of prompts with the tokens of the right answer: learned is each of them, and then the token `stop`."""
    return [
        TrainingExample(
            prompt, answer, tuple(Step(depth, (), token) for depth, token in enumerate((*answer, stop)))
        )
        for prompt, answer in written
    ]


class Sequences:
    """N training sequences: each prompt, and its answer's tokens.

    Layers below `first` run once, here; their output is kept on the model's device while it fits `cache_bytes`, and
    is computed again for each batch beyond that.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        examples: Sequence[TrainingExample],
        first: int,
        cache_bytes: int,
    ) -> None:
        self._model, self._first = language_model, first
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
        for batch in length_sorted_batches([self.lengths[i] for i in chosen], 0, self._model.batch_tokens):
            indices = [chosen[i] for i in batch]
            for index, states in zip(indices, self._below(indices), strict=True):
                self._kept[index] = states[: self.lengths[index]].clone()

    def _below(self, indices: Sequence[int]) -> Tensor:
        with torch.no_grad():
            return self._stack.below(self._first, self._ids(indices))

    def _ids(self, indices: Sequence[int]) -> Tensor:
        rows = [self._examples[i].prompt + self._examples[i].answer for i in indices]
        return padded(rows, self._model.device)[0]

    def parts(self, indices: Sequence[int]) -> list[list[int]]:
        """A batch in parts that fit into memory together with what their gradients need."""
        lengths = [self.lengths[i] for i in indices]
        most = _PART_BATCHES * self._model.batch_tokens
        return [[indices[i] for i in part] for part in length_sorted_batches(lengths, 0, most)]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, list[Step]]:
        """What `run` takes for these sequences, and the step that each of its P places is."""
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
