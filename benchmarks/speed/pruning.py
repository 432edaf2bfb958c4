"""Scoring with the improbable branches of the labels' tree left out, beside all of it and beside vLLM, in one run.

    python -m benchmarks.speed.pruning --data FILE.jsonl --text text --label label [--answers 600] [--rows 1000]
        [--adapter FOLDER] [--vllm-dtype bfloat16]

A model is taught some answers first: an untrained one is sure of nothing, so there is little to leave out. All ways
then answer the same other rows, in turn, from the same token ids, in the default dtype. In float32 each row's answer is
compared: the best label, the order of what is listed beside it, and how much probability is missing.

vLLM, where it is installed (see vllm.py), has the same weights and writes one of the labels, with what is fastest on a
CPU: no compiled graphs, blocks of 32 tokens. Ours gives the probabilities of all of them.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness import add_texts, argument_parser, figure_table, finish, seconds
from benchmarks.speed.training import sampled_prompts
from benchmarks.speed.vllm import generated
from sparklabel.engines.options import VllmOptions
from sparklabel.engines.vllm.loading import open_llm
from sparklabel.label_trie import LabelTrie
from sparklabel.language_model import LanguageModel, TrainingExample
from sparklabel.language_model.partial_forward import decoder_depth
from sparklabel.language_model.scoring import option_scorer
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.trainer import train_lora
from sparklabel.models.references import embedded_model
from sparklabel.tasks.choices import most_probable


def compared(trie: LabelTrie, whole: NDArray[np.float32], pruned: NDArray[np.float32]) -> dict[str, Any]:
    """What leaving out changes: rows with the same value, and with the same alternatives as far as they are listed; the
    most probability that is missing in a row; and the mean share of labels that were not computed."""
    log_p = [trie.log_probabilities(logits) for logits in (whole, pruned)]
    names = range(len(trie.paths))
    same_value = same_order = 0
    for full, part in zip(*log_p, strict=True):
        best = [[one.value for one in most_probable(names, one).alternatives] for one in (full, part)]
        same_value += best[0][0] == best[1][0]
        same_order += best[0][: len(best[1])] == best[1]
    rest = np.exp(log_p[1])
    return {
        "same_value": same_value, "same_order": same_order, "most_missing": float((1 - rest.sum(1)).max()),
        "left_out": float((rest == 0).mean()),
    }  # fmt: skip


def taught_adapter(
    arguments: argparse.Namespace,
    base: LanguageModel,
    examples: Sequence[TrainingExample],
    choices: int,
    to: Path,
) -> Path:
    """The folder with the adapter, trained unless it is there."""
    if not any(to.glob("*.safetensors")):
        to.mkdir(parents=True, exist_ok=True)
        config = TrainingConfig(epochs=arguments.epochs)
        chosen = config.chosen_for(decoder_depth(base.model), choices, arguments.answers)
        train_lora(base, examples[: arguments.answers], chosen, to, print)
    return to


def _load(adapter: Path, names: Sequence[str], rows: Sequence[tuple[int, ...]], options: VllmOptions) -> None:
    """Readies this process to write one of the names behind each row, each time from an empty prefix cache."""
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    llm = open_llm(embedded_model(), adapter, options)
    choice = StructuredOutputsParams(choice=list(names))
    params = SamplingParams(temperature=0, max_tokens=32, structured_outputs=choice)

    def write() -> list[str]:
        llm.reset_prefix_cache()
        return [one.outputs[0].text for one in generated(llm, rows, params)]

    _writers.append(write)


_writers: list[Callable[[], list[str]]] = []
"""In the process of vLLM: what writes."""


def _write() -> list[str]:
    return _writers[0]()


def main() -> None:
    parser = argument_parser(__doc__, rows=1000, rounds=5)
    add_texts(parser)
    parser.add_argument("--answers", type=int, default=600, help="rows that the model learns from (600)")
    parser.add_argument("--epochs", type=int, help="by default as a fine-tuning chooses")
    parser.add_argument("--mass", type=float, default=1e-3, help="probability that may be missing (0.001)")
    parser.add_argument("--shared", type=int, default=0, help="tokens of a prefix that all rows share")
    parser.add_argument("--adapter", type=Path, help="the folder of the taught adapter: kept, and used again")
    parser.add_argument("--vllm-dtype", default="auto", help="the type that vLLM computes in (auto)")
    arguments = parser.parse_args()
    base = LanguageModel.load(embedded_model())
    everything = argparse.Namespace(**(vars(arguments) | {"rows": arguments.answers + arguments.rows}))
    examples, trie = sampled_prompts(base, everything)
    rows = [example.prompt for example in examples[arguments.answers :]]
    with ExitStack() as stack:
        folder = arguments.adapter or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        adapter = taught_adapter(arguments, base, examples, len(trie.paths), folder)
        exact, usual = (
            LanguageModel.load(embedded_model(), adapter, dtype=dtype) for dtype in ("float32", "auto")
        )
        shared = (100,) * arguments.shared

        def scored(model: LanguageModel, mass: float) -> NDArray[np.float32]:
            return option_scorer(model, model.encode_prefix(shared), trie, mass).logits(rows)

        figures = compared(trie, *(scored(exact, mass) for mass in (0.0, arguments.mass)))
        ways: dict[str, Callable[[], Any]] = {
            "whole": lambda: scored(usual, 0.0),
            "pruned": lambda: scored(usual, arguments.mass),
        }
        if find_spec("vllm"):
            names = [usual.tokenizer.decode(path) for path in trie.paths]
            options = VllmOptions(dtype=arguments.vllm_dtype, threads=torch.get_num_threads())
            given = (adapter, names, [(*shared, *row) for row in rows], options)
            # A process of its own, as it has in practice: in one process ours took 3% longer.
            pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_load, initargs=given)
            vllm = stack.enter_context(pool)
            ways["vllm"] = lambda: vllm.submit(_write).result()
            best = trie.log_probabilities(scored(usual, 0.0)).argmax(axis=1)
            figures["same_as_vllm"] = sum(
                names[own] == text for own, text in zip(best, ways["vllm"](), strict=True)
            )
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(arguments.rounds + 1):  # the first warms up
            for name, way in ways.items():
                taken[name] += [seconds(way)[0]] if number else []
    for name in [name for name in ways if name != "pruned"]:
        ratios = [other / pruned for other, pruned in zip(taken[name], taken["pruned"], strict=True)]
        figures[f"ahead_of_{name}"] = statistics.median(ratios)
    tokens = sum(map(len, rows)) / len(rows)
    figures |= {
        "rows": len(rows), "labels": len(trie.paths), "tree_tokens": len(trie.tree_tokens), "row_tokens": tokens,
        "rows_per_second": len(rows) / statistics.median(taken["pruned"]), "seconds": taken,
    }  # fmt: skip
    title = f"{len(trie.paths)} labels, {tokens:.1f} tokens a row and {len(trie.tree_tokens)} of the tree"
    table = figure_table(title, "figure", "value")
    for name, value in figures.items():
        if isinstance(value, int | float):
            table.add_row(name, f"{value:.4g}" if isinstance(value, float) else f"{value:,}")
    finish(arguments, table, {"pruning": figures})


if __name__ == "__main__":
    main()
