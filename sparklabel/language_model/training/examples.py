"""Answered prompts as training needs them: token sequences, with the steps to learn.

In: prompts with the number of the right choice, or with a written answer. Out: examples. Knows no tensors.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sparklabel.label_trie import LabelTrie, Step, TokenPath


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A prompt's token ids, up to where the answer begins; the answer's tokens that the model must read; and the steps
    to learn, at least one."""

    prompt: TokenPath
    answer: TokenPath
    steps: tuple[Step, ...]


def choice_examples(chosen: Iterable[tuple[TokenPath, int]], trie: LabelTrie) -> list[TrainingExample]:
    """Examples that teach what scoring reads: the branching nodes of the right label's path.

    Args:
        chosen: prompts, each with the number of its right label.
        trie: the labels' tokens.

    Returns:
        One example a prompt, without those whose label has no branching node (a task with one label).
    """
    steps = [trie.steps(label) for label in range(len(trie.paths))]
    return [
        TrainingExample(prompt, trie.paths[label][: max(step.depth for step in steps[label])], steps[label])
        for prompt, label in chosen
        if steps[label]
    ]


def text_examples(written: Iterable[tuple[TokenPath, TokenPath]], stop: int) -> list[TrainingExample]:
    """Examples that teach written answers.

    Args:
        written: prompts, each with the tokens of its right answer.
        stop: the token that ends an answer, learned after those.
    """
    return [
        TrainingExample(
            prompt, answer, tuple(Step(depth, (), token) for depth, token in enumerate((*answer, stop)))
        )
        for prompt, answer in written
    ]
