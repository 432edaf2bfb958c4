"""From the tokens that an endpoint reports to the probabilities of choices, and to the logits of their trie.

In: an answer's tokens, each with the likeliest tokens at its position. Out: a probability for each choice, and logits
for which `LabelTrie.log_probabilities` returns these probabilities. Tokens are pieces of UTF-8; how else a tokenizer
would split a choice is not known here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparklabel.errors import TaskError
from sparklabel.label_trie import LabelTrie

MAX_CHOICES = 1_000
"""OpenAI's limit of values in the enum of a response format."""
_UNSEEN = 1e-6
"""The least probability of a choice: it may have just missed the tokens that are reported."""
_MIN_PROBABILITY = 1e-30


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer. `likeliest`: the likeliest tokens at its position with their log-probabilities; it may be
    among them."""

    text: bytes
    log_p: float
    likeliest: tuple[tuple[bytes, float], ...] = ()


def choice_probabilities(
    tokens: Sequence[Token], head: bytes, choices: Sequence[bytes]
) -> NDArray[np.float64] | None:
    """[L] probabilities that sum to 1; None if the tokens are not those of any choice.

    The answer is `head` and then one of the choices. No choice is the beginning of another: they end with a closing
    quote. A choice's probability is the product, along the answer, of the probabilities renormalized over the reported
    tokens that choices continue with. A choice continues with the longest such token, as tokenizers mostly split a
    text; but where that token is also the answer's text, with the answer's own token. Choices that leave the answer
    with the same token share its probability.
    """
    whole, answer = [head + choice for choice in choices], b"".join(token.text for token in tokens)
    gained = np.full(len(choices), _UNSEEN)
    on_path, share, written = list(range(len(choices))), 1.0, b""
    for token in tokens:
        if token.text and len(written) + len(token.text) > len(head) and len(on_path) > 1:
            takers = _takers(token, written, answer, {n: whole[n] for n in on_path})
            if token.text not in takers:
                return None
            mass = _masses(token, takers)
            for piece in takers.keys() - {token.text}:
                gained[takers[piece]] += share * mass[piece] / len(takers[piece])
            on_path, share = takers[token.text], share * mass[token.text]
        written += token.text
    if not any(answer.startswith(whole[n]) for n in on_path):
        return None
    gained[on_path] += share / len(on_path)
    return gained / gained.sum()


def _takers(token: Token, written: bytes, answer: bytes, choices: dict[int, bytes]) -> dict[bytes, list[int]]:
    """For each token that choices continue with, their numbers. A choice that continues with none is left out."""
    likeliest = sorted({token.text, *(piece for piece, _ in token.likeliest if piece)}, key=len, reverse=True)
    takers: dict[bytes, list[int]] = {}
    for number, choice in choices.items():
        piece = next((piece for piece in likeliest if _agree(choice, written + piece)), None)
        if piece is None:
            continue
        same = answer.startswith((written + piece)[: len(choice)])  # text after a choice does not count
        if same and _agree(choice, written + token.text):
            piece = token.text
        takers.setdefault(piece, []).append(number)
    return takers


def _masses(token: Token, pieces: Collection[bytes]) -> dict[bytes, float]:
    """The probability of each piece among them."""
    log_p = {**dict(token.likeliest), token.text: token.log_p}
    masses = {piece: max(float(np.exp(log_p[piece])), _MIN_PROBABILITY) for piece in pieces}
    total = sum(masses.values())
    return {piece: mass / total for piece, mass in masses.items()}


def _agree(choice: bytes, text: bytes) -> bool:
    return choice.startswith(text) or text.startswith(choice)


def logits_of(trie: LabelTrie, probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
    """[L] probabilities to [O] logits: for each option, the logarithm of the probability of the labels that take it."""
    mass = np.zeros(len(trie.option_tokens))
    for path, probability in zip(trie.label_paths, probabilities, strict=True):
        mass[list(path)] += probability
    return np.log(mass).astype(np.float32)


def certain(trie: LabelTrie, label: int) -> NDArray[np.float32]:
    """[O] logits that name a label without a probability: they are infinite along its path."""
    logits = np.zeros(len(trie.option_tokens), dtype=np.float32)
    logits[list(trie.label_paths[label])] = np.inf
    return logits


def check_choices(trie: LabelTrie) -> None:
    """Raises TaskError if the trie holds several questions, or more labels than an endpoint takes. The labels of one
    question all branch at the same node first."""
    if len(trie.paths) > MAX_CHOICES:
        raise TaskError(
            f"The openai engine can offer {MAX_CHOICES:,} labels, and this task has {len(trie.paths):,}.",
            hint="Use the transformers or vllm engine, or ask for a group of labels first and for one of them then.",
        )
    if len({trie.option_branches[path[0]] for path in trie.label_paths if path}) > 1:
        raise TaskError(
            "The openai engine can ask for one choice per row, and this task has several.",
            hint="Use the transformers or vllm engine, or an extraction with a boolean field for each label.",
        )
