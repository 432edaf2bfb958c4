"""The vLLM engine: one vLLM in this process, on GPU or CPU.

In: requests. Out: scores and texts. `open_llm` loads vLLM, `VllmLoop` keeps its batches full.

Scoring requests one token after each row, and after each tree token of the labels' trie, with the log-probabilities of
the options at that position only. vLLM's prefix cache computes once what such requests share.
"""

import gc
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from sparklabel.engines.base import Completion, GenerationRequest, ScoringRequest
from sparklabel.engines.options import VllmOptions
from sparklabel.engines.vllm.loading import lora_request, open_llm
from sparklabel.engines.vllm.loop import VllmLoop
from sparklabel.label_trie import END, PROMPT, LabelTrie, TokenPath
from sparklabel.language_model import ModelTokenizer

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams
    from vllm.lora.request import LoRARequest

_OPTIONS_A_REQUEST = 128
"""The most tokens whose log-probabilities one request of vLLM can ask for."""


class VllmEngine:
    """Several threads may call it. `adapter`: the fine-tuned weights for this engine's requests; engines of the same
    loop share the base."""

    def __init__(
        self, loop: VllmLoop, tokenizer: ModelTokenizer, adapter: "LoRARequest | None" = None
    ) -> None:
        self.loop, self.tokenizer, self._adapter = loop, tokenizer, adapter
        _IN_USE.add(self)

    @classmethod
    def load(cls, base: Path, adapter: Path | None = None, **options: Any) -> "VllmEngine":
        """The options are those of `VllmOptions`. Raises ModelError, and SetupError without vLLM."""
        tokenizer = ModelTokenizer.load(base)
        _free_memory()
        loop = VllmLoop(lambda: open_llm(base, adapter, VllmOptions(**options)))
        _OPENED.append(loop)
        tokenizer.context = min(tokenizer.context, loop.model_config.max_model_len)
        return cls(loop, tokenizer)

    def with_adapter(self, adapter: Path) -> "VllmEngine":
        """An engine that answers with the adapter beside the base's weights, in the same batches. Raises ModelError if
        vLLM was not loaded for adapters of this rank (the option `max_lora_rank`)."""
        return VllmEngine(self.loop, self.tokenizer, lora_request(adapter, self.loop.max_lora_rank))

    def score(self, request: ScoringRequest) -> NDArray[np.float32]:
        trie, rows = request.trie, list(dict.fromkeys(request.rows))
        positions = position_requests(trie, self.tokenizer.stop_ids)
        known = self._log_probabilities([request.prefix + row for row in rows], positions)
        logits = np.array([self._options(trie, of) for of in known], dtype=np.float32)
        number = {row: n for n, row in enumerate(rows)}
        return logits.reshape(len(rows), len(trie.option_tokens))[[number[row] for row in request.rows]]

    def generate(self, request: GenerationRequest) -> list[Completion]:
        """Raises TaskError for a schema that cannot be enforced."""
        rows = list(dict.fromkeys(request.rows))
        params = self._params(request)
        outputs = self.loop.run(((request.prefix + row, params) for row in rows), self._adapter)
        answers = {rows[number]: self._generation(output, request) for number, output in outputs}
        return [answers[row] for row in request.rows]

    def _log_probabilities(
        self, prompts: Sequence[TokenPath], positions: Sequence["PositionRequest"]
    ) -> list[dict[int, dict[int, float]]]:
        """For each prompt, by position, the log-probabilities among all tokens of the tokens that were asked for
        there."""
        params = [position.params() for position in positions]
        pairs = (
            (prompt + at.path, of) for prompt in prompts for at, of in zip(positions, params, strict=True)
        )
        known: list[dict[int, dict[int, float]]] = [{at.position: {} for at in positions} for _ in prompts]
        for number, output in self.loop.run(pairs, self._adapter):
            prompt, position = divmod(number, len(positions))
            found: Any = output.outputs[0].logprobs
            known[prompt][positions[position].position].update(
                zip(found.token_ids, found.logprobs, strict=True)
            )
        return known

    def _options(self, trie: LabelTrie, known: Mapping[int, Mapping[int, float]]) -> list[float]:
        return [
            float(np.logaddexp.reduce([known[position][stop] for stop in self.tokenizer.stop_ids]))
            if token == END
            else known[position][token]
            for position, token in zip(trie.option_positions, trie.option_tokens, strict=True)
        ]

    def _params(self, request: GenerationRequest) -> "SamplingParams":
        from vllm import SamplingParams

        from sparklabel.engines.vllm.logits_processor import SCHEMA, compiled

        held = request.schema is not None
        if held:
            model = self.loop.model_config
            compiled(request.schema, Path(model.tokenizer), model.get_vocab_size())
        return SamplingParams(
            temperature=0, stop_token_ids=list(self.tokenizer.stop_ids), detokenize=False, logprobs=0,
            # An answer may need all of its tokens, and the stop token after them.
            max_tokens=request.max_tokens + held, flat_logprobs=True,
            extra_args={SCHEMA: request.schema} if held else None,
        )  # fmt: skip

    def _generation(self, output: "RequestOutput", request: GenerationRequest) -> Completion:
        written: Any = output.outputs[0]
        stopped = written.finish_reason == "stop"
        length = min(len(written.token_ids) - stopped, request.max_tokens)
        ids, log_p = written.token_ids[:length], tuple(written.logprobs.logprobs[:length])
        text, ends = self.tokenizer.decode(ids), tuple(self.tokenizer.token_ends(ids))
        return Completion(text, ends, log_p, stopped and (request.schema is None or _is_json(text)))


_OPENED: list[VllmLoop] = []
"""Closing one vLLM destroys what all of a process share, so none is closed while any is in use."""
_IN_USE: WeakSet[VllmEngine] = WeakSet()


def _free_memory() -> None:
    gc.collect()
    if not _IN_USE:
        for loop in _OPENED:
            loop.close()
            loop.join()
        _OPENED.clear()
        gc.collect()


@dataclass(frozen=True, slots=True)
class PositionRequest:
    """What is asked of each row: the log-probabilities of `tokens` after the row and `path`, which leads to a position
    of the trie."""

    position: int
    path: TokenPath
    tokens: TokenPath

    def params(self) -> "SamplingParams":
        """Generates one token, which is ignored, with these log-probabilities among all tokens."""
        from vllm import SamplingParams

        return SamplingParams(
            max_tokens=1, temperature=0, detokenize=False, flat_logprobs=True, logprob_token_ids=list(self.tokens)
        )  # fmt: skip


def position_requests(trie: LabelTrie, stop_ids: Sequence[int]) -> list[PositionRequest]:
    """The requests of one row. Those of one position follow each other, so that the cache still holds the row."""
    wanted: dict[int, dict[int, None]] = {position: {} for position in sorted(set(trie.option_positions))}
    for position, token in zip(trie.option_positions, trie.option_tokens, strict=True):
        wanted[position].update(dict.fromkeys(stop_ids if token == END else (token,)))
    return [
        PositionRequest(position, _path(trie, position), tuple(tokens)[start : start + _OPTIONS_A_REQUEST])
        for position, tokens in wanted.items()
        for start in range(0, len(tokens), _OPTIONS_A_REQUEST)
    ]


def _path(trie: LabelTrie, position: int) -> TokenPath:
    path: TokenPath = ()
    while position != PROMPT:
        path, position = (trie.tree_tokens[position], *path), trie.tree_parents[position]
    return path


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
