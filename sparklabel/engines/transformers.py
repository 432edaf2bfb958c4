"""The transformers engine: one model in this process, on CPU or GPU.

In: requests. Out: scores and texts. The computation itself is in `language_model`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparklabel.engines.base import Completion, GenerationRequest, HiddenStatesRequest, ScoringRequest
from sparklabel.errors import EngineDied, EngineError
from sparklabel.label_trie import LabelTrie, TokenPath
from sparklabel.language_model import LanguageModel, decoder_depth, hidden_features, layer_at
from sparklabel.language_model.adapters import AdaptedWeights, adapted_weights
from sparklabel.language_model.decoding.grammar import Grammar, Vocabulary
from sparklabel.language_model.decoding.greedy import Written, generate
from sparklabel.language_model.memory_limits import is_out_of_memory
from sparklabel.language_model.model import SharedPrefix
from sparklabel.language_model.scoring import OptionScorer, option_scorer
from sparklabel.redaction import typed_line

PRUNED_MASS = 1e-3


class TransformersEngine:
    """Keeps the encoded prefix, the scorer and the grammar of the last request, because all prompts of a task share
    them. If memory runs out, the language model continues with smaller batches; EngineError if a single row does not
    fit."""

    def __init__(
        self,
        language_model: LanguageModel,
        base: Path | None = None,
        weights: AdaptedWeights | None = None,
        pruned_mass: float = PRUNED_MASS,
    ) -> None:
        """`base`: the folder that the model was loaded from, needed for adapters. `weights`: those of the adapter that
        this engine answers with, whatever other engines of the same model do. `pruned_mass`: as in
        `TransformersOptions`."""
        self.language_model = language_model
        self.tokenizer = language_model.tokenizer
        self._base, self._weights, self._pruned_mass = base, weights or {}, pruned_mass
        self._prefix: SharedPrefix | None = None
        self._vocabulary: Vocabulary | None = None
        self._grammar: tuple[str, Grammar] | None = None
        self._last_scorer: tuple[tuple[TokenPath, LabelTrie, bool], OptionScorer] | None = None

    @classmethod
    def load(
        cls,
        base: Path,
        adapter: Path | None = None,
        *,
        dtype: str = "auto",
        device: str | None = None,
        batch_tokens: int | None = None,
        threads: int | None = None,
        pruned_mass: float = PRUNED_MASS,
    ) -> "TransformersEngine":
        """The options are those of `TransformersOptions`. Raises ModelError."""
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        model = LanguageModel.load(base, adapter, dtype=dtype, device=device, batch_tokens=batch_tokens)
        return cls(model, base, pruned_mass=pruned_mass)

    def with_adapter(self, adapter: Path) -> "TransformersEngine":
        """An engine that answers with the adapter. It shares the model, so only one of them computes at a time."""
        assert self._base is not None, "an engine without its base's folder takes no adapters"
        weights = adapted_weights(self.language_model, self._base, adapter)
        return TransformersEngine(self.language_model, self._base, weights, self._pruned_mass)

    def score(self, request: ScoringRequest) -> NDArray[np.float32]:
        with self._computing():
            return self._scorer(request).logits(request.rows)

    def generate(self, request: GenerationRequest) -> list[Completion]:
        """Raises TaskError for a schema that cannot be enforced."""
        grammar = None if request.schema is None else self._compiled(request.schema)
        with self._computing():
            prefix = self._encoded(request.prefix)
            written = generate(self.language_model, prefix, request.rows, grammar, request.max_tokens)
        return [self._as_text(answer) for answer in written]

    def hidden_states(self, request: HiddenStatesRequest) -> NDArray[np.float32]:
        model = self.language_model
        layer = layer_at(decoder_depth(model.model), request.depth)
        with _hardware_errors():
            model.set_active_adapter({})
            return hidden_features(model, request.rows, layer)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        with _hardware_errors():
            self.language_model.set_active_adapter(self._weights)
            yield

    def _as_text(self, answer: Written) -> Completion:
        text, ends = self.tokenizer.decode(answer.ids), self.tokenizer.token_ends(answer.ids)
        return Completion(text, tuple(ends), answer.log_p, answer.finished)

    def _compiled(self, schema: str) -> Grammar:
        if self._vocabulary is None:
            size = self.language_model.model.get_output_embeddings().weight.shape[0]
            self._vocabulary = Vocabulary(self.tokenizer, size)
        if self._grammar is None or self._grammar[0] != schema:
            self._grammar = schema, self._vocabulary.grammar(schema)
        return self._grammar[1]

    def _scorer(self, request: ScoringRequest) -> OptionScorer:
        of = request.prefix, request.trie, request.may_prune
        if self._last_scorer is None or self._last_scorer[0] != of:
            mass = self._pruned_mass if request.may_prune else 0.0
            prefix = self._encoded(request.prefix)
            self._last_scorer = of, option_scorer(self.language_model, prefix, request.trie, mass)
        return self._last_scorer[1]

    def _encoded(self, prefix: TokenPath) -> SharedPrefix:
        if self._prefix is None or self._prefix.ids != prefix:
            self._prefix = self.language_model.encode_prefix(prefix)
        return self._prefix


@contextmanager
def _hardware_errors() -> Iterator[None]:
    """Out of memory is a failure, and a failed device is the engine's death. Any other RuntimeError is a bug and
    passes."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        died = isinstance(error, torch.AcceleratorError)
        if not (died or is_out_of_memory(error)):
            raise
        failure = EngineDied if died else EngineError
        raise failure(typed_line(error)) from error
