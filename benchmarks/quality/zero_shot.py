"""The weights of zero-shot answers: how much a language model counts beside the likeness to labels' names.

    python -m benchmarks.quality.zero_shot --data DIR [--only banking77 sst2 trec lexical_relation math_topics]
        [--rows 500]

On the *training* parts of classifications, with the embedded model and the shipped encoder. For each set the weights
that fit all others best (mean loss over sets, in units of the loss of equal probabilities), what they give on it, and
what `sparklabel.labeler.zero_shot.WEIGHTS` give; accuracies in %. Test parts are not read.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.optimize import minimize

from benchmarks.harness import argument_parser, figure_table, finish
from benchmarks.quality import every_set
from sparklabel import registry
from sparklabel.benchmarking.suite import SetRows, read_set
from sparklabel.classifiers.classifier import NAMES, SCORES
from sparklabel.classifiers.features import TextReader
from sparklabel.confidence.prior import normalized
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.labeler import Labeler
from sparklabel.labeler.zero_shot import WEIGHTS, ordered
from sparklabel.models.references import DEFAULT
from sparklabel.models.shipped_encoder import sentence_encoder

Floats = NDArray[np.float64]
TUNED = ("banking77", "sst2", "trec", "lexical_relation", "math_topics")
"""The others are kept aside."""


class Sources:
    """Both sources' log-probabilities [N, L] of a set's training rows, and the right labels."""

    def __init__(self, found: SetRows, engine: TransformersEngine) -> None:
        task = ordered(found.task)
        rows = [list(inputs) for inputs, _ in found.train]
        reader = TextReader(task, sentence_encoder())
        self.names = reader.read(rows, [NAMES])[NAMES].astype(np.float64)
        corrected = task.model_copy(update={"prior": "content_free", "zero_shot": "lm"})
        self.scores = Labeler(corrected, engine, model="m").log_probabilities(rows)
        self.right = np.array([task.label_names.index(answer) for _, answer in found.train])

    def mixed(self, weights: Sequence[float]) -> Floats:
        return normalized(weights[0] * self.names + weights[1] * self.scores)

    def accuracy(self, weights: Sequence[float]) -> float:
        return float((self.mixed(weights).argmax(axis=1) == self.right).mean())

    def loss(self, weights: Sequence[float]) -> float:
        log_p = self.mixed(weights)[np.arange(len(self.right)), self.right]
        return float(-log_p.mean() / np.log(self.names.shape[1]))


def fitted(sources: Sequence[Sources]) -> list[float]:
    """The weights in [0, 20] with the lowest mean loss."""

    def mean_loss(weights: Sequence[float]) -> float:
        return float(np.mean([one.loss(weights) for one in sources]))

    found = minimize(mean_loss, [1.0, 0.2], bounds=[(0, 20)] * 2, method="L-BFGS-B").x
    return [float(weight) for weight in found]


def main() -> None:
    arguments = _parser().parse_args()
    engine = TransformersEngine.load(registry.fetch(registry.resolve(DEFAULT)).base)
    console, sources = Console(), dict[str, Sources]()
    suite = every_set()
    for name in arguments.only:
        found = read_set(name, suite[name], arguments.data)
        sources[name] = Sources(replace(found, train=found.train[: arguments.rows]), engine)
        console.print(f"{name}: {len(sources[name].right):,} training rows")
    table = figure_table(
        "Accuracy on training rows", "set", "labels", "language model", "names", "weights of the others", "with these",
        "with WEIGHTS", "loss",
    )  # fmt: skip
    fixed, figures = [WEIGHTS[NAMES], WEIGHTS[SCORES]], dict[str, Any]()
    for name, one in sources.items():
        weights = fitted([other for other in sources.values() if other is not one] or [one])
        found = [one.accuracy(ws) for ws in ([0.0, 1.0], [1.0, 0.0], weights, fixed)]
        figures[name] = {"weights": weights, "accuracies": found, "loss": one.loss(fixed)}
        lm, names, others, ours = (f"{100 * share:.1f}" for share in found)
        shown = ", ".join(f"{weight:.2f}" for weight in weights)
        table.add_row(name, str(one.names.shape[1]), lm, names, shown, others, ours, f"{one.loss(fixed):.3f}")
    console.print(f"fitted on all: {', '.join(f'{weight:.2f}' for weight in fitted(list(sources.values())))}")
    finish(arguments, table, {"sets": figures})


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser(__doc__, rows=500)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    parser.add_argument("--only", nargs="+", default=TUNED, help="these classifications")
    return parser


if __name__ == "__main__":
    main()
