"""A row's tokens for a model that has no prompt: a sentence encoder reads the texts themselves.

In: rows. Out: what `PromptEncoder` gives, so that lengths, cuts and refusals are the same for every model.
"""

from collections.abc import Callable, Sequence
from copy import copy
from itertools import chain
from typing import Protocol

from sparklabel.label_trie import TokenPath
from sparklabel.prompts.encoder import CHARS_PER_TOKEN, Prompt, RowCandidates
from sparklabel.prompts.tokenizer import Tokenizer

PartsOf = Callable[[Sequence[Sequence[str]]], Sequence[Sequence[str]]]
_AROUND = 2
"""Tokens that an encoder puts around a text."""


class RowEncoder(Protocol):
    """Rows become prompts after a shared `prefix`; `room` tokens are left for a row."""

    prefix: TokenPath
    room: int

    def shorter(self, tokens: int) -> "RowEncoder": ...

    def encode(
        self,
        rows: Sequence[Sequence[str]],
        examples: Sequence[Sequence[str]] | None = None,
        candidates: Sequence[RowCandidates] | None = None,
    ) -> list[Prompt]: ...


class RowTokens:
    """Each part of a row is read by itself, up to `room` tokens of it. `parts_of` gives the texts that are read of
    rows."""

    prefix: TokenPath = ()

    def __init__(self, tokenizer: Tokenizer, parts_of: PartsOf) -> None:
        self._tokenizer, self.room = tokenizer, tokenizer.context - _AROUND
        self._parts_of = parts_of

    def shorter(self, tokens: int) -> "RowTokens":
        """The same, for inputs of at most `tokens` tokens."""
        made = copy(self)
        made.room = min(self.room, tokens)
        return made

    def encode(
        self,
        rows: Sequence[Sequence[str]],
        examples: Sequence[Sequence[str]] | None = None,
        candidates: Sequence[RowCandidates] | None = None,
    ) -> list[Prompt]:
        """The tokens that are read of each row. There are no examples and no candidates."""
        limit = self._tokenizer.context * CHARS_PER_TOKEN
        read = self._parts_of(rows)
        ids = iter(self._tokenizer.encode_rows([text[:limit] for parts in read for text in parts]))
        return [
            self._prompt([next(ids) for _ in parts], any(len(text) > limit for text in parts))
            for parts in read
        ]

    def _prompt(self, parts: list[list[int]], is_cut: bool) -> Prompt:
        is_cut = is_cut or any(len(ids) > self.room for ids in parts)
        return Prompt(tuple(chain.from_iterable(ids[: self.room] for ids in parts)), is_cut)
