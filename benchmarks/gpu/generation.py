"""JSON under a schema against transformers' `generate`.

The same rows, greedily. The ways: ours under the schema; `generate` on all rows at once, padded on the left, under the
same grammar as a logits processor; and `generate` without one, which random weights never end, for 64 tokens.

    tokens/s, rows/s  tokens of the answers (those that the schema forces too), and rows, by seconds; median round
    valid             the share of answers that are JSON and fit the schema
    ours is           our rows a second by the way's; for `generate` without a schema, tokens a second
"""

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers import LogitsProcessorList

from benchmarks.gpu.device import GIB
from benchmarks.gpu.kit import Kit
from benchmarks.gpu.ours import GenerationRequest, Grammar, TransformersEngine, Vocabulary
from benchmarks.gpu.prompts import MAX_TOKENS, PREFIX, SCHEMA, prefix_of, rows_of, valid_share
from benchmarks.gpu.table import FAILED, OK, Line
from benchmarks.speed.generation import GrammarProcessor

_TOKENS, _FREE_TOKENS = 100, 64
_ROUNDS = 3
_WAYS = 3
_ROWS = {True: 128, False: 4}
"""On a GPU, and on a CPU."""
Answers = tuple[list[str], int]
"""Texts, and how many tokens they took."""


def measure(kit: Kit, model: str) -> Iterator[Line]:
    """One line a way, ours first."""
    generating = Generating(kit.models.engine(model), _ROWS[kit.device.is_gpu])
    ours: dict[str, Any] = {}
    for way, work in generating.ways().items():
        found = _figures(kit, work, len(generating.rows))
        ours = ours or found
        by = "tokens/s" if way.endswith("free") else "rows/s"
        found["ours is"] = ours[by] / found[by]
        wrong = way == "sparklabel" and found["valid"] < 1
        note = "answers that do not fit the schema" if wrong else ""
        yield Line("generation", model, way, found, FAILED if wrong else OK, note)


def _figures(kit: Kit, work: Callable[[], Answers], rows: int) -> dict[str, Any]:
    made: list[Answers] = []
    kit.device.forget_peak()
    found = kit.device.rounds(lambda: made.append(work()), _ROUNDS, 0.8 * kit.seconds / _WAYS)
    seconds, (texts, tokens) = statistics.median(found), made[-1]
    return {
        "rows": rows, "tokens a row": tokens / rows, "rows/s": rows / seconds, "tokens/s": tokens / seconds,
        "valid": valid_share(texts), "peak GiB": kit.device.peak() / GIB,
    }  # fmt: skip


class Generating:
    """The same rows for every way."""

    def __init__(self, engine: TransformersEngine, number: int) -> None:
        self._engine, self._tokenizer = engine, engine.tokenizer
        self._model: Any = engine.language_model.model
        vocabulary = self._model.config.vocab_size
        self._prefix = prefix_of(vocabulary)
        self.rows = rows_of(number, _TOKENS - PREFIX, vocabulary, seed=4)
        self._grammar = Vocabulary(self._tokenizer, vocabulary).grammar(SCHEMA)

    def ways(self) -> dict[str, Callable[[], Answers]]:
        return {
            "sparklabel": self._ours,
            "generate, schema": lambda: self._stock(self._grammar, MAX_TOKENS),
            "generate, free": lambda: self._stock(None, _FREE_TOKENS),
        }

    def _ours(self) -> Answers:
        answers = self._engine.generate(GenerationRequest(self._prefix, self.rows, SCHEMA, MAX_TOKENS))
        return [answer.text for answer in answers], sum(len(answer.log_p) for answer in answers)

    def _stock(self, grammar: Grammar | None, most: int) -> Answers:
        prompts, stops = [self._prefix + row for row in self.rows], self._tokenizer.stop_ids
        width = max(map(len, prompts))
        ids = [[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        held = LogitsProcessorList([GrammarProcessor(grammar, len(prompts), width)] if grammar else [])
        found = self._model.generate(
            input_ids=torch.tensor(ids, device=self._model.device), max_new_tokens=most, do_sample=False,
            attention_mask=torch.tensor(mask, device=self._model.device), logits_processor=held,
            pad_token_id=stops[0], eos_token_id=list(stops),
        )  # fmt: skip
        written = [_answer(row, stops) for row in found[:, width:].tolist()]
        return [self._tokenizer.decode(row) for row in written], sum(map(len, written))


def _answer(row: list[int], stops: tuple[int, ...]) -> list[int]:
    """Up to the first token that ends an answer."""
    return row[: next((n for n, token in enumerate(row) if token in stops), len(row))]
