"""Scoring with the improbable branches of the labels' tree left out, beside all of it, in one run.

    python -m benchmarks.speed.pruning --data FILE.jsonl --text text --label label [--answers 600] [--rows 1000]

A model is taught some answers first: an untrained one is sure of nothing, so there is little to leave out. Both ways
then score the same other rows, in turn, in the default dtype. In float32 each row's answer is compared: the best label,
the order of what is listed beside it, and how much probability is missing.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import add_texts, argument_parser, figure_table, finish, seconds
from benchmarks.speed.training import sampled_prompts
from sparklabel.label_trie import LabelTrie
from sparklabel.language_model import LanguageModel
from sparklabel.language_model.partial_forward import decoder_depth
from sparklabel.language_model.scoring import OptionScorer, option_scorer
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


def main() -> None:
    parser = argument_parser(__doc__, rows=1000, rounds=5)
    add_texts(parser)
    parser.add_argument("--answers", type=int, default=600, help="rows that the model learns from (600)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--mass", type=float, default=1e-3, help="probability that may be missing (0.001)")
    parser.add_argument("--shared", type=int, default=0, help="tokens of a prefix that all rows share")
    arguments = parser.parse_args()
    base = LanguageModel.load(embedded_model())
    everything = argparse.Namespace(**(vars(arguments) | {"rows": arguments.answers + arguments.rows}))
    examples, trie = sampled_prompts(base, everything)
    rows = [example.prompt for example in examples[arguments.answers :]]
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(epochs=arguments.epochs)
        chosen = config.chosen_for(decoder_depth(base.model), len(trie.paths), arguments.answers)
        train_lora(base, examples[: arguments.answers], chosen, Path(folder), print)
        exact, usual = (
            LanguageModel.load(embedded_model(), Path(folder), dtype=dtype) for dtype in ("float32", "auto")
        )
    prefix = usual.encode_prefix([100] * arguments.shared)

    def scorer(model: LanguageModel, mass: float) -> OptionScorer:
        return option_scorer(model, model.encode_prefix(prefix.ids), trie, mass)

    figures = compared(trie, *(scorer(exact, mass).logits(rows) for mass in (0.0, arguments.mass)))
    taken: dict[float, list[float]] = {0.0: [], arguments.mass: []}
    for number in range(arguments.rounds + 1):  # the first warms up
        for mass, of_mass in taken.items():
            took = seconds(lambda: scorer(usual, mass).logits(rows))[0]  # noqa: B023 called at once
            of_mass += [took] if number else []
    ratios = [whole / pruned for whole, pruned in zip(*taken.values(), strict=True)]
    tokens = sum(map(len, rows)) / len(rows)
    figures |= {
        "rows": len(rows), "labels": len(trie.paths), "tree_tokens": len(trie.tree_tokens), "row_tokens": tokens,
        "seconds": {str(mass): of_mass for mass, of_mass in taken.items()}, "ratio": statistics.median(ratios),
    }  # fmt: skip
    title = f"{len(trie.paths)} labels, {tokens:.1f} tokens a row and {len(trie.tree_tokens)} of the tree"
    table = figure_table(title, "figure", "value")
    for name in ("ratio", "left_out", "most_missing", "same_value", "same_order"):
        table.add_row(
            name, f"{figures[name]:.4g}" if isinstance(figures[name], float) else f"{figures[name]:,}"
        )
    finish(arguments, table, {"pruning": figures})


if __name__ == "__main__":
    main()
