"""A row's tokens for a model that has no prompt: a sentence encoder reads the texts themselves.

In: rows. Out: what `PromptEncoder` gives, so that lengths, cuts and refusals are the same for every model.
"""

from collections.abc import Sequence
from copy import copy
from itertools import chain
from typing import Protocol

from sparklabel.label_trie import TokenPath
from sparklabel.prompts.encoder import CHARS_PER_TOKEN, Prompt, RowCandidates
from sparklabel.prompts.tokenizer import Tokenizer

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
    """Each input is read by itself, up to `room` tokens of it."""

    prefix: TokenPath = ()

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self.room = tokenizer, tokenizer.context - _AROUND

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
        ids = iter(self._tokenizer.encode_rows([text.strip()[:limit] for row in rows for text in row]))
        return [
            self._prompt([next(ids) for _ in row], any(len(text.strip()) > limit for text in row))
            for row in rows
        ]

    def _prompt(self, fields: list[list[int]], is_cut: bool) -> Prompt:
        is_cut = is_cut or any(len(ids) > self.room for ids in fields)
        return Prompt(tuple(chain.from_iterable(ids[: self.room] for ids in fields)), is_cut)
