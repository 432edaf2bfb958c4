"""Generation of JSON against transformers' own `generate`, in one run.

    python -m benchmarks.speed.generation --data FILE.jsonl [--text text --fields time people] [--rows 64]

An extraction prompt over the texts, zero-shot with the embedded model, greedy. Four ways, with the same prompts, dtype,
threads and warm-up: ours under the schema; transformers in batches of 32 rows sorted by length, padded on the left,
under the same grammar as a logits processor; and both without a schema, up to the same number of tokens. Machines are
shared, so every round measures all ways one after another, and the figure is the median over rounds of the ratio of
rows per second. Both write nearly the same text under the grammar: where the grammar forces characters, ours takes the
usual tokens at once, and transformers may choose other tokens for the same characters.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from transformers import LogitsProcessor, LogitsProcessorList

from benchmarks.harness import add_engine, argument_parser, figure_table, finish, seconds
from sparklabel.engines import GenerationRequest
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.label_trie import TokenPath
from sparklabel.language_model.decoding.grammar import Grammar, Vocabulary, allowed
from sparklabel.models.references import embedded_model

_BATCH = 32
_ASK = "Read the text and write what it says as JSON with the fields {}. Write null for what it does not say."


class GrammarProcessor(LogitsProcessor):
    """Constrains transformers' `generate` with a grammar as a user of a grammar library does: one mask per row and
    step."""

    def __init__(self, grammar: Grammar, rows: int, prompt: int) -> None:
        self._vocabulary, self._prompt = grammar.vocabulary, prompt
        self._states = [grammar.begin() for _ in range(rows)]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if input_ids.shape[1] > self._prompt:
            for state, token in zip(self._states, input_ids[:, -1].tolist(), strict=True):
                if not state.has_ended:
                    state.accept(token)
        bits = torch.from_numpy(allowed(self._vocabulary, self._states)).view(torch.uint8).to(scores.device)
        shifts = torch.arange(8, dtype=torch.uint8, device=scores.device)
        is_open = ((bits[..., None] >> shifts) & 1).flatten(1)[:, : scores.shape[1]].bool()
        is_open |= ~is_open.any(-1, keepdim=True)  # rows that have ended
        return scores.masked_fill(~is_open, float("-inf"))


class Generating:
    """The same rows as prompts for every way. Each returns the texts and how many tokens they took."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._limit = arguments.max_tokens
        self._engine = TransformersEngine.load(
            embedded_model(), dtype=arguments.dtype, threads=arguments.threads,
            batch_tokens=arguments.batch_tokens,
        )  # fmt: skip
        self._tokenizer = self._engine.tokenizer
        self._model = self._engine.language_model.model
        before, after = self._tokenizer.chat() or ("", "")
        self.prefix = tuple(
            self._tokenizer.encode(f"{before}{_ASK.format(', '.join(arguments.fields))}\n\nText:")
        )
        lines = (json.loads(line) for line in arguments.data.open(encoding="utf-8"))
        texts = list(dict.fromkeys(line[arguments.text] for line in lines))[: arguments.rows]
        self.rows = [
            (*row, *self._tokenizer.encode(after))
            for row in self._tokenizer.encode_rows([f" {t}" for t in texts])
        ]
        self.schema = json.dumps({
            "type": "object", "properties": {field: {"type": ["string", "null"]} for field in arguments.fields},
            "required": arguments.fields, "additionalProperties": False,
        })  # fmt: skip
        self._grammar = Vocabulary(self._tokenizer, self._model.config.vocab_size).grammar(self.schema)

    def ways(self) -> dict[str, Callable[[], tuple[list[str], int]]]:
        return {
            "sparklabel, schema": lambda: self._ours(self.schema),
            "generate, batch 32, schema": lambda: self._stock(self._grammar),
            "sparklabel, free": lambda: self._ours(None),
            "generate, batch 32, free": lambda: self._stock(None),
        }

    def _ours(self, schema: str | None) -> tuple[list[str], int]:
        request = GenerationRequest(self.prefix, tuple(self.rows), schema, self._limit)
        answers = self._engine.generate(request)
        return [answer.text for answer in answers], sum(len(answer.log_p) for answer in answers)

    def _stock(self, grammar: Grammar | None) -> tuple[list[str], int]:
        whole = sorted((self.prefix + row, n) for n, row in enumerate(self.rows))
        whole.sort(key=lambda pair: len(pair[0]))
        texts, tokens = [""] * len(whole), 0
        for start in range(0, len(whole), _BATCH):
            batch = whole[start : start + _BATCH]
            for (_, number), ids in zip(
                batch, self._generated([ids for ids, _ in batch], grammar), strict=True
            ):
                texts[number] = self._tokenizer.decode(ids)
                tokens += len(ids)
        return texts, tokens

    def _generated(self, prompts: list[TokenPath], grammar: Grammar | None) -> list[list[int]]:
        width, stops = max(map(len, prompts)), self._tokenizer.stop_ids
        device = self._model.device
        ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        held = LogitsProcessorList([GrammarProcessor(grammar, len(prompts), width)] if grammar else [])
        found = self._model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=self._limit, do_sample=False, pad_token_id=stops[0],
            logits_processor=held, eos_token_id=list(stops),
        )  # fmt: skip
        rows = found[:, width:].tolist()
        return [row[: next((n for n, token in enumerate(row) if token in stops), None)] for row in rows]

    def describe(self) -> str:
        mean = statistics.mean(map(len, self.rows))
        return f"{len(self.rows)} rows, {len(self.prefix)} shared and {mean:.1f} other prompt tokens a row"


def run(generating: Generating, rounds: int) -> dict[str, dict[str, Any]]:
    """Each way's rows and tokens per second by round, after one round that warms up."""
    ways, rows = generating.ways(), len(generating.rows)
    figures: dict[str, dict[str, Any]] = {
        way: {"rows_per_second": [], "tokens_per_second": []} for way in ways
    }
    for number in range(rounds + 1):
        print(f"round {number} of {rounds}" if number else "warm-up", flush=True)
        for way, work in ways.items():
            took, (texts, tokens) = seconds(work)
            figures[way]["texts"], figures[way]["tokens_a_row"] = texts, tokens / rows
            if number:
                figures[way]["rows_per_second"].append(rows / took)
                figures[way]["tokens_per_second"].append(tokens / took)
    return figures


def summarised(figures: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures with `ours_is`, the median over rounds of our rows per second (with the same schema, or without) by
    each way's, and `same_text`, the share of rows for which the way wrote the same text as ours."""
    for way, found in figures.items():
        ours = figures[f"sparklabel, {way.rpartition(', ')[2]}"]
        pairs = zip(ours["rows_per_second"], found["rows_per_second"], strict=True)
        found["ours_is"] = statistics.median(mine / theirs for mine, theirs in pairs)
        same = [a == b for a, b in zip(ours["texts"], found["texts"], strict=True)]
        found["same_text"] = sum(same) / len(same)
    return {way: {k: v for k, v in found.items() if k != "texts"} for way, found in figures.items()}


def shown(figures: dict[str, dict[str, Any]]) -> Table:
    """One line a way."""
    columns = ("rows/s", "tokens/s", "tokens a row", "ours is", "same text")
    table = figure_table("generation", "way", *columns)
    for way, found in figures.items():
        table.add_row(
            way, f"{statistics.median(found['rows_per_second']):.2f}",
            f"{statistics.median(found['tokens_per_second']):.1f}", f"{found['tokens_a_row']:.1f}",
            f"{found['ours_is']:.2f}x", f"{found['same_text']:.0%}",
        )  # fmt: skip
    return table


def main() -> None:
    arguments = _parser().parse_args()
    generating = Generating(arguments)
    print(generating.describe(), flush=True)
    figures = summarised(run(generating, arguments.rounds))
    finish(arguments, shown(figures), {"task": generating.describe(), "generation": figures})


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser(__doc__, rows=64, rounds=3)
    parser.add_argument("--data", type=Path, required=True, help="JSON lines with a text each")
    parser.add_argument("--text", default="text", help="the field with the text")
    parser.add_argument("--fields", nargs="+", default=["time", "people"], help="what to extract")
    parser.add_argument("--max-tokens", type=int, default=48, help="the longest answer")
    add_engine(parser)
    return parser


if __name__ == "__main__":
    main()
