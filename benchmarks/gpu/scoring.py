"""Scoring against the card's matrix products, and memory that runs out.

For each length of prompt and number of labels, `rows` random prompts behind a shared prefix are scored a few times;
figures are of the median round.

    tokens/s        tokens that must be evaluated (each row's own, and the nodes of the labels' tree) by seconds
    of peak         FLOP that they need by seconds and by the FLOP/s of a large matrix product
    prefill of peak the same ratio of transformers' own forward pass over full batches of equally long rows: what the
                    layers give without labels, prefixes and padding
    of prefill      tokens/s by the tokens/s of that pass

FLOP: 2 a weight of the decoder layers and token, and 4 a layer, token, key that it sees, and unit of the attention's
width. The output matrix is not counted, since only some of its rows are needed.
"""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from benchmarks.gpu.device import GIB
from benchmarks.gpu.kit import Kit
from benchmarks.gpu.ours import DecoderStack, LabelTrie, ScoringRequest, TransformersEngine
from benchmarks.gpu.out_of_memory import provoked
from benchmarks.gpu.prompts import PREFIX, prefix_of, rows_of, trie_of
from benchmarks.gpu.table import Line

LABELS, LENGTHS = (2, 77), (100, 1000)
_ROUNDS = 3
_PASSES = len(LENGTHS) * (len(LABELS) + 1) * (_ROUNDS + 1)
_EXPECTED = 0.3
"""Of peak: how many rows a pass gets follows from it, not the figures."""
_MIN_ROWS, _MAX_ROWS = 4, 4096


def measure(kit: Kit, model: str) -> Iterator[Line]:
    """One line a length and number of labels, and one for memory that runs out."""
    engine = kit.models.engine(model)
    cases = Cases(kit, engine)
    for tokens in LENGTHS:
        prefill = cases.prefill_rate(tokens)
        for labels in LABELS:
            figures = cases.scored(tokens, labels, prefill)
            yield Line("scoring", model, f"{tokens} tokens, {labels} labels", figures)
    yield provoked(kit.device, engine, model)


class Cases:
    """An engine, and how long a pass over its rows should take."""

    def __init__(self, kit: Kit, engine: TransformersEngine) -> None:
        self._device, self._peak, self._engine = kit.device, kit.peak, engine
        self._pass_seconds = 0.7 * kit.seconds / _PASSES
        self._language_model = engine.language_model
        self._model: Any = self._language_model.model

    def scored(self, tokens: int, labels: int, prefill: float) -> dict[str, Any]:
        """Figures of one case; `prefill` is in tokens a second."""
        request = self._request(tokens, labels)
        self._device.forget_peak()
        found = self._device.rounds(
            lambda: self._engine.score(request), _ROUNDS, (_ROUNDS + 1) * self._pass_seconds
        )
        seconds = statistics.median(found)
        tree = len(request.trie.tree_tokens)
        evaluated = sum(map(len, request.rows)) + tree * len(request.rows)
        flop = flop_of(self._model, [len(row) for row in request.rows], PREFIX, tree)
        whole = flop_of(self._model, [tokens], 0, 0) / tokens
        return {
            "rows": len(request.rows), "rows/s": len(request.rows) / seconds, "tokens/s": evaluated / seconds,
            "of peak": flop / seconds / self._peak, "prefill of peak": prefill * whole / self._peak,
            "of prefill": evaluated / seconds / prefill, "peak GiB": self._device.peak() / GIB,
        }  # fmt: skip

    def _request(self, tokens: int, labels: int) -> ScoringRequest:
        vocabulary = self._model.config.vocab_size
        trie: LabelTrie = trie_of(labels, self._engine.tokenizer)
        own = tokens - PREFIX
        flop = flop_of(self._model, [own], PREFIX, len(trie.tree_tokens))
        number = self._number(flop)
        return ScoringRequest(prefix_of(vocabulary), rows_of(number, own, vocabulary), trie)

    def _number(self, flop: float) -> int:
        """Rows of so many FLOP each that fill a pass."""
        return int(min(max(_EXPECTED * self._peak * self._pass_seconds / flop, _MIN_ROWS), _MAX_ROWS))

    def prefill_rate(self, tokens: int) -> float:
        """Tokens a second of the stock model on rows of equal length, as many as make a batch of ours, or less time
        than a pass has."""
        most = self._number(flop_of(self._model, [tokens], 0, 0))
        rows = max(1, min(most, self._language_model.batch_tokens // tokens))
        ids = torch.randint(
            20, self._model.config.vocab_size * 3 // 4, (rows, tokens), device=self._device.name
        )

        def work() -> None:
            with torch.inference_mode():
                self._model.base_model(input_ids=ids, use_cache=False)

        return ids.numel() / statistics.median(
            self._device.rounds(work, _ROUNDS, _ROUNDS * self._pass_seconds)
        )


def flop_of(model: Any, lengths: Sequence[int], shared: int, tree: int) -> float:
    """What rows with so many tokens of their own need, behind `shared` tokens and with `tree` nodes each."""
    layers = DecoderStack.of(model).layers
    weights = sum(p.numel() for p in layers.parameters() if p.dim() == 2)
    width = model.config.num_attention_heads * model.config.head_dim
    tokens = sum(lengths) + tree * len(lengths)
    keys = sum(n * shared + n * (n + 1) / 2 + tree * (shared + n + 1) for n in lengths)
    return 2 * weights * tokens + 4 * len(layers) * width * keys
