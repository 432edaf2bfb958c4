"""What an engine is: token ids and a constraint in, scores or texts out.

Prompts, parsing and confidence live outside: an engine makes one batch call.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sparklabel.label_trie import LabelTrie, TokenPath
from sparklabel.prompts import Tokenizer


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """N rows of token ids after a shared prefix, which may be empty, and the trie of the labels. `may_prune`: an engine
    may leave out labels that hardly have a probability: the logits of their options are -inf."""

    prefix: TokenPath
    rows: tuple[TokenPath, ...]
    trie: LabelTrie
    may_prune: bool = False


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """N rows of token ids after a shared prefix, which may be empty. Each is continued greedily by at most `max_tokens`
    tokens, under a JSON schema (as text), or freely if `schema` is None."""

    prefix: TokenPath
    rows: tuple[TokenPath, ...]
    schema: str | None
    max_tokens: int


@dataclass(frozen=True, slots=True)
class HiddenStatesRequest:
    """N whole rows of token ids, whose hidden states are read at `depth`, a share of the decoder layers in (0, 1]."""

    rows: tuple[TokenPath, ...]
    depth: float


@dataclass(frozen=True, slots=True)
class RowStatus:
    """What an engine that asks row by row reports of one row. `status` is a constant of `sparklabel.labels.status`:
    unless it is `ok`, the row has no answer. `text` goes into the label's `error`."""

    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote for one row, without the stop token.

    `ends[i]`: where token i ends in `text`, in characters. `log_p[i]`: its log-probability among all tokens, before the
    constraint. Both are empty if the engine does not know. `finished`: the model stopped, or the schema allowed no
    more; otherwise the answer was cut at `max_tokens`.
    """

    text: str
    ends: tuple[int, ...]
    log_p: tuple[float, ...]
    finished: bool
    row_status: RowStatus | None = None


@dataclass(frozen=True, slots=True)
class RowScores:
    """Scores of rows that were asked one by one. `logits` [N, O] are as those of `Engine.score`; a row whose choice is
    known without a probability has +inf along the choice's path, a row that failed has NaN. `row_statuses` [N]."""

    logits: NDArray[np.float32]
    row_statuses: tuple[RowStatus | None, ...]


class Engine(Protocol):
    """`score` returns float32 [N, O]: for each row, the logits of the trie's options, up to a constant per branching
    node. `generate` returns one `Completion` per row, in order. Both raise EngineError if the batch could not be
    computed."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    def score(self, request: ScoringRequest) -> NDArray[np.float32]: ...

    def generate(self, request: GenerationRequest) -> list[Completion]: ...


@runtime_checkable
class RowEngine(Engine, Protocol):
    """An engine that asks row by row, so that a row can fail alone. Otherwise a failed batch would be asked again in
    parts, and some engines are paid by the request."""

    def score_rows(self, request: ScoringRequest) -> RowScores: ...


@runtime_checkable
class SharedEngine(Engine, Protocol):
    """An engine of a base model that several fine-tuned models share. `with_adapter` returns an engine of the base with
    the LoRA adapter in this folder (PEFT layout). It may share weights and device with the others. Raises
    ModelError."""

    def with_adapter(self, adapter: Path) -> Engine: ...


@runtime_checkable
class ReadableEngine(Engine, Protocol):
    """An engine whose model can be read. `hidden_states` returns float32 [N, 2 D]: the mean over a row's tokens, then
    its last token; always those of the base, whatever adapter the engine answers with. Raises EngineError."""

    def hidden_states(self, request: HiddenStatesRequest) -> NDArray[np.float32]: ...


def row_scores(engine: Engine, request: ScoringRequest) -> RowScores:
    """Any engine's scores, row by row. Raises EngineError as `score` does."""
    if isinstance(engine, RowEngine):
        return engine.score_rows(request)
    return RowScores(engine.score(request), (None,) * len(request.rows))
