"""What an engine is: token ids and a constraint in, scores or texts out.

Prompts, parsing and confidence live outside."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparklabel.constraints import LabelTrie, TokenPath
from sparklabel.prompts import Tokenizer


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """N rows of token ids behind one shared prefix (may be empty), and the labels' trie."""

    prefix: TokenPath
    rows: tuple[TokenPath, ...]
    trie: LabelTrie


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """N rows of token ids behind one shared prefix (may be empty), each to be continued greedily, by `max_tokens`
    tokens at most: under a JSON schema (as text), or freely where `schema` is None."""

    prefix: TokenPath
    rows: tuple[TokenPath, ...]
    schema: str | None
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Generation:
    """What a model wrote for one row, without the stop token. `ends[i]` is where token i ends in `text`, in
    characters; `log_p[i]` its log-probability among all tokens, before the constraint. `finished`: the model stopped,
    or the schema allowed no more; otherwise `max_tokens` cut it."""

    text: str
    ends: tuple[int, ...]
    log_p: tuple[float, ...]
    finished: bool


class Engine(Protocol):
    """`score` gives float32 [N, O]: for each row, the logits of the trie's options, up to a constant per branching
    node. `generate` gives one Generation per row, in order. Both raise EngineError when the batch could not be
    computed."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    def score(self, request: ScoringRequest) -> NDArray[np.float32]: ...

    def generate(self, request: GenerationRequest) -> list[Generation]: ...
