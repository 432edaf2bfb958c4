"""What a model may write next under a JSON schema. The one door to llguidance.

In: a JSON schema as text, and the tokens chosen so far. Out: the tokens that are allowed, and those that are forced. It
runs no model.

Answers have the form of `json.dumps(value, ensure_ascii=False)`: keys in the schema's order, ", " and ": ", no other
whitespace, and only one-letter escapes, so most control characters cannot be written. Numbers stay as the model writes
them (1.50, -0).
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sparklabel.errors import ModelError, TaskError
from sparklabel.language_model.tokenizer import ModelTokenizer
from sparklabel.redaction import first_line

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_FORM = {
    "whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "json_allowed_escapes": '"\\bfnrt',
}  # fmt: skip


class GrammarState:
    """How far one answer has come under a grammar."""

    def __init__(self, matcher: "LLMatcher") -> None:
        self._matcher = matcher

    def accept(self, token: int) -> bool:
        """Advances by a token; returns False if the grammar forbids it."""
        return self._matcher.consume_token(token)

    def forced_tokens(self) -> list[int]:
        """Advances by the tokens that must come next, if any, and returns them."""
        forced = self._matcher.compute_ff_tokens()
        return forced if forced and self._matcher.consume_tokens(forced) else []

    @property
    def has_ended(self) -> bool:
        """Whether nothing can be added, because the answer is complete or was refused."""
        return self._matcher.is_stopped()

    @property
    def is_complete(self) -> bool:
        """Whether the answer fits the schema and nothing can be added."""
        return self._matcher.is_stopped() and self._matcher.is_accepting()

    def allow(self, bits: NDArray[np.int32]) -> None:
        """Writes the allowed tokens into `bits` [ceil(V / 32)], the first token lowest. After a refused token, none
        are allowed."""
        if self._matcher.is_error():
            bits[:] = 0
        else:
            self._matcher.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)


class Vocabulary:
    """A model's tokens as grammars need them. Building one takes a second.

    `size` is the model's V, padding included. Raises ModelError for a tokenizer without a fast implementation.
    """

    def __init__(self, tokenizer: ModelTokenizer, size: int) -> None:
        from llguidance.hf import from_tokenizer

        try:
            self._tokens: LLTokenizer = from_tokenizer(
                tokenizer.fast, n_vocab=max(size, len(tokenizer.fast)), eos_token=list(tokenizer.stop_ids)
            )
        except ValueError as error:
            raise ModelError(
                f"This model's tokenizer cannot be constrained to a schema: {error}",
                hint="Use another engine.",
            ) from None

    def bits(self, rows: int) -> NDArray[np.int32]:
        """An empty bit mask of allowed tokens: [rows, ceil(V / 32)]."""
        return np.zeros((rows, -(-self._tokens.vocab_size // 32)), dtype=np.int32)

    def grammar(self, schema: str) -> "Grammar":
        """Compiles a JSON schema. Raises TaskError if it is not one, or uses what grammars cannot express."""
        return Grammar(self, self._tokens, schema)


class Grammar:
    """A JSON schema compiled for one vocabulary. `is_list`: answers are lists."""

    def __init__(self, vocabulary: Vocabulary, tokens: "LLTokenizer", schema: str) -> None:
        from llguidance import LLMatcher

        self.vocabulary = vocabulary
        self.is_list = False
        try:
            wanted = json.loads(schema)
            self.is_list = isinstance(wanted, dict) and wanted.get("type") == "array"
            text = LLMatcher.grammar_from_json_schema(schema, overrides=_FORM)
        except ValueError as error:
            raise TaskError(f"The answers' JSON schema is not JSON: {error}") from None
        self._start = LLMatcher(tokens, text, log_level=0)
        if self._start.is_error():
            reason = first_line(self._start.get_error())
            raise TaskError(f"Answers cannot be constrained to their JSON schema: {reason}")

    def begin(self) -> GrammarState:
        """The state of an answer that is still empty."""
        return GrammarState(self._start.deep_copy())


def allowed(vocabulary: Vocabulary, states: Sequence[GrammarState]) -> NDArray[np.int32]:
    """The allowed tokens of each answer as bits: [rows, ceil(V / 32)]."""
    bits = vocabulary.bits(len(states))
    for row, grammar_state in zip(bits, states, strict=True):
        grammar_state.allow(row)
    return bits
