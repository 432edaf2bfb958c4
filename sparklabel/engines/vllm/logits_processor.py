"""Keeps vLLM's answers to a JSON schema.

In: a schema, and the tokens written so far. Out: masked logits. vLLM can do that itself, but masks the logits before it
reads log-probabilities, which would then be those among the allowed tokens. A logits processor runs after they are
read. It uses the grammar of the transformers engine, so that both engines write the same form, with the same tokens
where the schema forces them.
"""

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from sparklabel.language_model import ModelTokenizer
from sparklabel.language_model.decoding.grammar import Grammar, Vocabulary

SCHEMA = "sparklabel_schema"
"""The key of a request's `extra_args` that holds its schema."""


@lru_cache(maxsize=2)
def _vocabulary(tokenizer: Path, size: int) -> tuple[ModelTokenizer, Vocabulary]:
    loaded = ModelTokenizer.load(tokenizer)
    return loaded, Vocabulary(loaded, size)


@lru_cache(maxsize=8)
def compiled(schema: str, tokenizer: Path, size: int) -> Grammar:
    """The grammar, cached in this process. `size`: tokens in the model's vocabulary. Raises TaskError or ModelError."""
    return _vocabulary(tokenizer, size)[1].grammar(schema)


class SchemaProcessor(AdapterLogitsProcessor):
    """Masks the tokens that a request's schema does not allow next. Requests without a schema are not changed."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        super().__init__(vllm_config, device, is_pin_memory)
        model = vllm_config.model_config
        self._vocabulary = Path(model.tokenizer), model.get_vocab_size()

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: SamplingParams) -> "_Constrained | None":
        schema = (params.extra_args or {}).get(SCHEMA)
        if schema is None:
            return None
        return _Constrained(compiled(schema, *self._vocabulary), _vocabulary(*self._vocabulary)[0].stop_ids)


class _Constrained:
    """One answer. Forced tokens wait in `_forced` until the model was made to write them."""

    def __init__(self, grammar: Grammar, stop_ids: Sequence[int]) -> None:
        self._bits = grammar.vocabulary.bits(1)[0]
        self._grammar_state, self._stop_ids, self._seen = grammar.begin(), list(stop_ids), 0
        self._forced = deque(self._grammar_state.forced_tokens())

    def __call__(self, written: list[int], logits: Tensor) -> Tensor:
        """Masks the logits [V] of the token after `written`, in place."""
        for token in written[self._seen :]:
            self._take(token)
        self._seen = len(written)
        if self._forced:
            return _only([self._forced[0]], logits)
        if self._grammar_state.has_ended:
            return _only(self._stop_ids, logits)
        self._grammar_state.allow(self._bits)
        allowed = np.unpackbits(self._bits.view(np.uint8), bitorder="little")[: len(logits)]
        return logits.masked_fill_(torch.from_numpy(allowed == 0).to(logits.device), float("-inf"))

    def _take(self, token: int) -> None:
        if self._forced:
            self._forced.popleft()
        elif self._grammar_state.accept(token):
            self._forced.extend(self._grammar_state.forced_tokens())


def _only(tokens: list[int], logits: Tensor) -> Tensor:
    kept = logits[tokens].clone()
    logits.fill_(float("-inf"))
    logits[tokens] = kept
    return logits
