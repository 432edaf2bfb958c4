"""From the tokens that an endpoint reports to the probabilities of choices, and to the logits of their trie.

In: an answer's tokens, each with the likeliest tokens in its place. Out: a probability for each choice; logits from
which `LabelTrie.log_probabilities` gives these probabilities back. Tokens are pieces of UTF-8: which other pieces a
choice would be written in is not known here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparklabel.errors import TaskError
from sparklabel.label_trie import LabelTrie

_UNSEEN = 1e-6
"""What a choice has at least: it may just have missed the tokens that are reported."""
_LEAST = 1e-30


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer; `offered` are the likeliest in its place with their log-probabilities, maybe itself among
    them."""

    text: bytes
    log_p: float
    offered: tuple[tuple[bytes, float], ...] = ()


def choice_probabilities(
    tokens: Sequence[Token], head: bytes, choices: Sequence[bytes]
) -> NDArray[np.float64] | None:
    """[L], their sum 1. The answer is `head` and then one of the choices, none of which begins another: they end with
    a closing quote. None where the tokens leave all choices.

    A choice's probability is the product, along the answer, of the probabilities renormalised over the offered tokens
    that choices go on with: each with the longest, which is what tokenizers mostly make of a text; but where that is
    the answer's text too, with the answer's own token. Choices that part from the answer with the same token share its
    probability.
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
    """For each token that choices go on with, their numbers; a choice that goes on with none is missing."""
    offered = sorted({token.text, *(piece for piece, _ in token.offered if piece)}, key=len, reverse=True)
    takers: dict[bytes, list[int]] = {}
    for number, choice in choices.items():
        piece = next((piece for piece in offered if _agree(choice, written + piece)), None)
        if piece is None:
            continue
        same = answer.startswith((written + piece)[: len(choice)])  # what is behind a choice does not count
        if same and _agree(choice, written + token.text):
            piece = token.text
        takers.setdefault(piece, []).append(number)
    return takers


def _masses(token: Token, pieces: Collection[bytes]) -> dict[bytes, float]:
    """The probability of each piece among them."""
    log_p = {**dict(token.offered), token.text: token.log_p}
    masses = {piece: max(float(np.exp(log_p[piece])), _LEAST) for piece in pieces}
    total = sum(masses.values())
    return {piece: mass / total for piece, mass in masses.items()}


def _agree(choice: bytes, text: bytes) -> bool:
    return choice.startswith(text) or text.startswith(choice)


def logits_of(trie: LabelTrie, probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
    """[L] probabilities to [O] logits: of each option, the logarithm of what the labels that take it have."""
    mass = np.zeros(len(trie.option_tokens))
    for route, probability in zip(trie.label_paths, probabilities, strict=True):
        mass[list(route)] += probability
    return np.log(mass).astype(np.float32)


def certain(trie: LabelTrie, label: int) -> NDArray[np.float32]:
    """[O] logits that say which label it is, and nothing of how probable it is: infinite along its route."""
    logits = np.zeros(len(trie.option_tokens), dtype=np.float32)
    logits[list(trie.label_paths[label])] = np.inf
    return logits


def check_one_question(trie: LabelTrie) -> None:
    """The labels of one question all part at the same node first. Raises TaskError where there are several."""
    if len({trie.option_branches[route[0]] for route in trie.label_paths if route}) > 1:
        raise TaskError(
            "The openai engine asks for one choice, and this task makes several of each row.",
            hint="Use the transformers or vllm engine; or an extraction with a field of yes and no for each label.",
        )
