"""Scoring against its roofline and against the usual ways to do it, in one run.

    python -m benchmarks.speed.scoring [--data FILE.jsonl --text text --label label] [--rows 128] [--out FILE.json]

Roofline: the prefill rate of the same model on packed full batches (its stock attention, hidden states only), divided
by the tokens that must be evaluated: unshared prompt tokens and the trie's tree tokens. Every way gets the same
prompts, dtype, threads and warm-up. It is measured once a round, between two measurements of the prefill rate, because
machines are shared: the figure is the median ratio. The slow ways get fewer rows, drawn evenly over the lengths.
Generation is greedy and stops at the length of the longest label.
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from benchmarks.harness import add_engine, add_texts, argument_parser, figure_table, finish, labeled_texts
from sparklabel.engines import ScoringRequest
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.label_trie import TokenPath
from sparklabel.labeler import Labeler, PreparedTask
from sparklabel.models.references import embedded_model

_BATCH = 32
_PACKED = (16, 64)


class Way:
    """One way to answer rows, with its measurements: the rate of the tokens that must be evaluated as a share of the
    prefill rate around it, rows per second, and peak memory in bytes."""

    def __init__(self, name: str, work: Callable[[], Any], rows: int, tokens: int) -> None:
        self.name, self._work, self.rows, self._tokens = name, work, rows, tokens
        self.ratios: list[float] = []
        self.speeds: list[float] = []
        self.peak = 0

    def measure(self, prefill: Callable[[], float]) -> None:
        """Measures one round. The first call warms up before it measures."""
        if not self.ratios:
            self._work()
        before = prefill()
        _reset_peak()
        start = time.perf_counter()
        self._work()
        seconds = time.perf_counter() - start
        self.peak = max(self.peak, _peak_bytes())
        rate = 2 / (1 / before + 1 / prefill())
        self.ratios.append(self._tokens / seconds / rate)
        self.speeds.append(self.rows / seconds)

    def figures(self) -> dict[str, Any]:
        return {
            "rows": self.rows, "rows_per_second": statistics.median(self.speeds),
            "of_roofline": statistics.median(self.ratios), "ratios": self.ratios, "peak_bytes": self.peak,
        }  # fmt: skip


class Scoring:
    """The same rows as prompts for every way."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.task, frame = labeled_texts(arguments)
        self.rows = [[text] for text in frame["text"].head(arguments.rows)]
        self.engine = TransformersEngine.load(
            embedded_model(), dtype=arguments.dtype, threads=arguments.threads,
            batch_tokens=arguments.batch_tokens,
        )  # fmt: skip
        self.labeler = Labeler(self.task, self.engine, model="benchmark")
        question = PreparedTask.of(self.task, self.engine.tokenizer)
        self.prefix, self.trie = question.encoder.prefix, question.trie
        self.prompts = [prompt.ids for prompt in self.labeler.encoder.encode(self.rows)]
        self._model = self.engine.language_model.model

    def ways(self) -> list[Way]:
        """Ours on all rows; the others on as many as take about as long."""
        longest = max(map(len, self.trie.paths))
        whole = sorted((self.prefix + ids for ids in self.prompts), key=len)
        some, few = whole[:: max(1, len(whole) // 32)], whole[:: max(1, len(whole) // 8)]
        return [
            Way("sparklabel", self._label_anew, len(self.rows), self._tokens(self.prompts)),
            self._of("one prefill, whole prompt", some, lambda: self._one_prefill(some)),
            self._of("generate, batch 32", some, lambda: self._generate(some, longest, _BATCH)),
            self._of("generate, a row at a time", few, lambda: self._generate(few, longest, 1)),
        ]

    def _of(self, name: str, whole: list[TokenPath], work: Callable[[], None]) -> Way:
        return Way(name, work, len(whole), self._tokens([ids[len(self.prefix) :] for ids in whole]))

    def _tokens(self, prompts: Sequence[TokenPath]) -> int:
        return sum(len(ids) + len(self.trie.tree_tokens) for ids in prompts)

    def describe(self) -> str:
        tree = len(self.trie.tree_tokens)
        return (
            f"{self.task.name}: {len(self.trie.paths)} labels, {len(self.rows)} rows, "
            f"{len(self.prefix)} shared and {self.tokens_a_row():.1f} other tokens a row ({tree} of the trie)"
        )

    def tokens_a_row(self) -> float:
        """Tokens that must be evaluated for a row, on average."""
        return self._tokens(self.prompts) / len(self.rows)

    def prefill_rate(self) -> float:
        """Tokens a second of packed full batches, over about as many tokens as ours evaluates."""
        ids = torch.randint(100, self._model.config.vocab_size, _PACKED, device=self._model.device)
        batches = max(2, round(self._tokens(self.prompts) / ids.numel()))
        start = time.perf_counter()
        with torch.inference_mode():
            for _ in range(batches):
                self._model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, 0, 0].item()
        return batches * ids.numel() / (time.perf_counter() - start)

    def _label_anew(self) -> None:
        self.labeler.clear_memo()
        self.labeler.label(self.rows)

    def _one_prefill(self, whole: list[TokenPath]) -> None:
        """The same scores without a shared prefix."""
        self.engine.score(ScoringRequest((), tuple(whole), self.trie))

    def _generate(self, whole: list[TokenPath], longest: int, batch: int) -> None:
        for start in range(0, len(whole), batch):
            ids, mask = _left_padded(whole[start : start + batch], self._model.device)
            self._model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=longest, do_sample=False, pad_token_id=0
            )


def _left_padded(rows: Sequence[TokenPath], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask [B, T]; the rows come sorted by length, as a careful user would sort them."""
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def _reset_peak() -> None:
    """Restarts the peak of resident memory at what is resident now. Linux only."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def shown(figures: dict[str, dict[str, Any]], roofline: float) -> Table:
    """One line a way."""
    title, columns = (
        f"roofline {roofline:,.1f} rows/s",
        ("rows", "rows/s", "of roofline", "ours is", "peak GiB"),
    )
    table = figure_table(title, "way", *columns)
    ours = figures["sparklabel"]["of_roofline"]
    for name, found in figures.items():
        table.add_row(
            name, str(found["rows"]), f"{found['rows_per_second']:.1f}", f"{found['of_roofline']:.2f}",
            f"{ours / found['of_roofline']:.1f}x", f"{found['peak_bytes'] / 2**30:.2f}",
        )  # fmt: skip
    return table


def main() -> None:
    arguments = _parser().parse_args()
    scoring = Scoring(arguments)
    print(scoring.describe(), flush=True)
    ways, rates = scoring.ways(), []

    def prefill() -> float:
        rates.append(scoring.prefill_rate())
        return rates[-1]

    prefill()
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
        for way in ways:
            way.measure(prefill)
    figures = {way.name: way.figures() for way in ways}
    tokens = scoring.tokens_a_row()
    content = {"task": scoring.describe(), "prefill": rates, "scoring": figures}
    finish(arguments, shown(figures, statistics.median(rates) / tokens), content)


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser(__doc__, rows=128, rounds=3)
    add_texts(parser)
    add_engine(parser)
    return parser


if __name__ == "__main__":
    main()
