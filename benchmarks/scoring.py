"""Scoring against its roofline and against the usual ways, in one run.

    python -m benchmarks.scoring [--data FILE.jsonl --text text --label label] [--rows 256] [--out FILE.json]

Roofline: the prefill rate of the same model on packed full batches (its stock attention, hidden states only), divided
by the tokens that must be evaluated: unshared prompt tokens and the trie's tree tokens. All ways get the same prompts,
the same dtype and the same threads; generation is greedy, capped at the longest label. Only ratios of one run count.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine, paragraph
from sparklabel.demo import movie_reviews, read_jsonl
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.labeler import Labeler
from sparklabel.references import embedded_model

_BATCH = 32


def main() -> None:
    arguments = _parser().parse_args()
    task, frame = (
        read_jsonl(arguments.data, arguments.text, arguments.label) if arguments.data else movie_reviews()
    )
    rows = [[text] for text in frame["text"].drop_duplicates().head(arguments.rows)]
    engine = TransformersEngine.load(embedded_model(), dtype=arguments.dtype, threads=arguments.threads)
    labeler = Labeler(task, engine, model="benchmark")
    prompts = [list(prompt.ids) for prompt in labeler.encoder.encode([[row[0]] for row in rows])]
    whole = [list(labeler.encoder.prefix) + ids for ids in prompts]
    longest = max(len(path) for path in labeler.trie.paths)
    tree = len(labeler.trie.tree_tokens)
    unshared = sum(len(ids) + tree for ids in prompts)
    print(
        f"{paragraph()}\n{task.name}: {len(task.label_names)} labels, {len(rows)} rows, "
        f"{len(labeler.encoder.prefix)} shared and "
        f"{unshared / len(rows):.1f} other tokens a row ({tree} of the trie)\n",
        flush=True,
    )
    rate = prefill_rate(engine.language_model.model)
    roofline = rate * len(rows) / unshared
    ours = _rows_per_second(lambda: _label_anew(labeler, rows), len(rows), repeats=3)
    table = [
        ("roofline", roofline, ""),
        ("sparklabel", ours, _peak()),
        (
            "one prefill, whole prompt",
            _rows_per_second(lambda: _one_prefill(engine, whole), len(rows)),
            _peak(),
        ),
        (
            "generate, batch 32",
            _rows_per_second(lambda: _generate(engine, whole, longest, _BATCH), len(rows)),
            _peak(),
        ),
    ]
    few = whole[: max(8, len(whole) // 8)]
    table.append(
        (
            "generate, a row at a time",
            _rows_per_second(lambda: _generate(engine, few, longest, 1), len(few)),
            _peak(),
        )
    )
    print(
        f"prefill {rate:,.0f} tok/s\n\n{'way':28}{'rows/s':>10}{'of roofline':>13}{'ours is':>10}{'peak so far':>14}"
    )
    for name, speed, peak in table:
        print(f"{name:28}{speed:10.1f}{speed / roofline:13.2f}{ours / speed:9.1f}x{peak:>14}")
    if arguments.out:
        figures = {name: speed for name, speed, _ in table}
        Path(arguments.out).write_text(
            json.dumps({"machine": machine(), "rows_per_second": figures}, indent=2)
        )


def prefill_rate(model: Any, batch: int = 16, length: int = 64) -> float:
    """Tokens a second of full batches without padding: the best of five, after a warm-up."""
    ids = torch.randint(100, model.config.vocab_size, (batch, length), device=model.device)
    with torch.inference_mode():
        return _rows_per_second(
            lambda: model.base_model(input_ids=ids, use_cache=False), batch * length, repeats=5
        )


def _label_anew(labeler: Labeler, rows: Sequence[Sequence[str]]) -> None:
    labeler.forget()
    labeler.label(rows)


def _one_prefill(engine: TransformersEngine, prompts: list[list[int]]) -> None:
    """Label scoring without a shared prefix or a tree: the first token of each label, one forward pass a batch."""
    for ids, mask in _batches(engine, prompts, _BATCH):
        with torch.inference_mode():
            engine.language_model.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1)


def _generate(engine: TransformersEngine, prompts: list[list[int]], longest: int, batch: int) -> None:
    for ids, mask in _batches(engine, prompts, batch):
        engine.language_model.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=longest, do_sample=False, pad_token_id=0
        )


def _batches(
    engine: TransformersEngine, prompts: list[list[int]], size: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Left-padded batches in order of length: what a careful user of transformers does."""
    made, device = [], engine.language_model.device
    ordered = sorted(prompts, key=len)
    for start in range(0, len(ordered), size):
        rows = ordered[start : start + size]
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
        made.append((ids, mask))
    return made


def _rows_per_second(work: Callable[[], Any], rows: int, repeats: int = 1) -> float:
    if repeats > 1:
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return rows / min(times)


def _peak() -> str:
    """Peak resident memory of the process so far: it never falls, so only the first row that lifts it is its cause."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:,.2f} GiB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, help="JSON lines instead of the demo's movie reviews")
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", help="write the figures as JSON here")
    return parser


if __name__ == "__main__":
    main()
