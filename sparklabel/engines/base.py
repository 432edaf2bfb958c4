"""What an engine is: token ids and a constraint in, scores or texts out.

Prompts, parsing and confidence live outside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sparklabel.label_trie import LabelTrie, TokenPath
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
class RowStatus:
    """What an engine that asks row by row says of one row. `status` is one of labels.py: where it is not `ok`, the row
    has no answer. `text` is what the label's `error` says."""

    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote for one row, without the stop token. `ends[i]` is where token i ends in `text`, in
    characters; `log_p[i]` its log-probability among all tokens, before the constraint; both are empty where an engine
    does not know. `finished`: the model stopped, or the schema allowed no more; otherwise `max_tokens` cut it."""

    text: str
    ends: tuple[int, ...]
    log_p: tuple[float, ...]
    finished: bool
    row_status: RowStatus | None = None


@dataclass(frozen=True, slots=True)
class RowScores:
    """Scores of rows that were asked one by one. `logits` [N, O] as `Engine.score` gives them; a row that says only
    which choice it is has +inf along the choice's route, a row that failed has NaN. `row_statuses` [N]."""

    logits: NDArray[np.float32]
    row_statuses: tuple[RowStatus | None, ...]


class Engine(Protocol):
    """`score` gives float32 [N, O]: for each row, the logits of the trie's options, up to a constant per branching
    node. `generate` gives one Generation per row, in order. Both raise EngineError when the batch could not be
    computed."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    def score(self, request: ScoringRequest) -> NDArray[np.float32]: ...

    def generate(self, request: GenerationRequest) -> list[Completion]: ...


@runtime_checkable
class RowEngine(Engine, Protocol):
    """An engine that asks row by row, so that a row can fail alone: a batch that fails is asked again in parts, and
    some engines are paid by the request."""

    def score_rows(self, request: ScoringRequest) -> RowScores: ...


@runtime_checkable
class SharedEngine(Engine, Protocol):
    """An engine of a base model that several fine-tuned ones stand on. `with_adapter` gives an engine of the base with
    the LoRA adapter in this folder (PEFT layout); it may share weights and device with all others made so. Raises
    ModelError."""

    def with_adapter(self, adapter: Path) -> Engine: ...


def row_scores(engine: Engine, request: ScoringRequest) -> RowScores:
    """What any engine's scores are, row by row. Raises EngineError as `score` does."""
    if isinstance(engine, RowEngine):
        return engine.score_rows(request)
    return RowScores(engine.score(request), (None,) * len(request.rows))
