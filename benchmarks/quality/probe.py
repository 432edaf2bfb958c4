"""What the probe of `sparklabel review` learns from how many answers, which rows it should ask about, how well wrong
labels are found, and how long it takes.

    python -m benchmarks.quality.probe --data DIR [--only banking77 sst2] [--seeds 3] [--pool 3000] [--rows 1500]

Rows come from a set's training part, `--pool` of them, and are judged on its test part. A seed draws the first rows and
the folds. "k-means + margin" is the order of the queue; "without names" is the same without the labels' names. A wrong
label is a confusable one: what heads that have not read the row find most probable of the others. Figures go to `--out`
after each set.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.harness import argument_parser, figure_table, finish, seconds
from benchmarks.quality import every_set
from sparklabel.benchmarking.suite import Row, SetRows, read_set
from sparklabel.classifiers.classifier import SENTENCE
from sparklabel.classifiers.features import label_vectors, sentence_features
from sparklabel.classifiers.heads import cross_fitted
from sparklabel.models.shipped_encoder import sentence_encoder
from sparklabel.probe.live import LiveProbe, blocks
from sparklabel.reviewing.probe.ordering import START, kmeans_start, margin, queue_order
from sparklabel.reviewing.probe.scores import best_choices
from sparklabel.reviewing.probe.worker import FOLDS
from sparklabel.reviewing.suspicious import suspicion
from sparklabel.splits import fold

MARGIN, WITHOUT_NAMES, RANDOM = "k-means + margin", "without names", "random"
AT = (20, 50, 100, 200, 300, 400, 500)
_BATCH = 10
_WRONG, _FIRST = 0.05, 50
_CYCLE_ROWS, _CYCLE_ANSWERS = 100_000, 500


@dataclass(frozen=True)
class Vectors:
    """A set as the probe sees it: vectors [N, F] and numbers of the right labels [N] of the pool and of the test rows,
    the pool's folds [N], the labels' vectors [L, F]."""

    pool: np.ndarray
    right: np.ndarray
    folds: np.ndarray
    test: np.ndarray
    test_right: np.ndarray
    names: np.ndarray

    @property
    def labels(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, found: SetRows, pool: int, rows: int) -> "Vectors":
        encoder, task = sentence_encoder(), found.task

        def read(some: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
            vectors = sentence_features(task, [list(inputs) for inputs, _ in some], encoder)
            return vectors, np.array([task.answer_mode.chosen(answer)[0] for _, answer in some])

        folds = np.array([fold(inputs, FOLDS) for inputs, _ in found.train[:pool]])
        names = label_vectors(task.meanings, encoder)
        return cls(*read(found.train[:pool]), folds, *read(found.test[:rows]), names)


def curve(found: Vectors, strategy: str, seed: int) -> dict[int, float]:
    """The accuracy on the test rows, in %, by the number of answers."""
    drawn = np.random.default_rng(seed).permutation(len(found.pool))
    pool, is_open = {SENTENCE: found.pool.astype(np.float16)}, np.full(len(found.pool), True)
    probe = LiveProbe((), found.labels, None if strategy == WITHOUT_NAMES else found.names)
    asked: list[int] = []
    figures: dict[int, float] = {}
    start = [] if strategy == RANDOM else kmeans_start(found.pool, START, seed).tolist()
    order = np.array(list(dict.fromkeys([*start, *drawn.tolist()])))
    while len(asked) < AT[-1]:
        new = order[is_open[order]][: _BATCH if asked else START]
        asked += new.tolist()
        is_open[new] = False
        probe.learn({SENTENCE: pool[SENTENCE][asked]}, found.right[asked][:, None], found.folds[asked])
        if len(asked) in AT:
            log_p = probe.log_probabilities({SENTENCE: found.test})
            figures[len(asked)] = 100 * float((log_p.argmax(axis=1) == found.test_right).mean())
        if strategy != RANDOM:
            order = queue_order(margin(probe.log_probabilities(pool)), is_open)
    return figures


def wrong_labels(found: Vectors, seed: int) -> dict[str, float]:
    """How many of the first rows have a wrong label, and how many of the wrong labels are found, in %, if twice as many
    rows as are wrong are looked at."""
    random, rows = np.random.default_rng(seed), len(found.pool)
    right = found.right[:, None]
    wrong = random.choice(rows, round(rows * _WRONG), replace=False)
    given = right.copy()
    given[wrong] = _judged(found, right).other[wrong]
    ranked = _judged(found, given).ranked(2 * len(wrong))
    is_wrong = np.isin(ranked, wrong)
    return {
        "of the first 50": 100 * float(is_wrong[:_FIRST].mean()),
        "within 2 k": 100 * float(is_wrong.sum() / len(wrong)),
    }


def _judged(found: Vectors, given: np.ndarray) -> Any:
    _, log_p = cross_fitted(found.pool, given, (found.labels,), found.folds)
    return suspicion(log_p, given, (found.labels,))


def cycle(found: Vectors) -> dict[str, float]:
    """The seconds of a fit, and of scoring and ordering 100,000 rows; and of a fit that chooses its strength anew."""
    rows = np.resize(found.pool.astype(np.float16), (_CYCLE_ROWS, found.pool.shape[1]))
    teach = (
        {SENTENCE: rows[:_CYCLE_ANSWERS]},
        found.right[:_CYCLE_ANSWERS, None],
        found.folds[:_CYCLE_ANSWERS],
    )
    probe = LiveProbe((), found.labels, found.names)
    choose, _ = seconds(lambda: probe.learn(*teach))
    fit, _ = seconds(lambda: probe.learn(*teach))

    def score() -> None:
        margins = []
        for start, end in blocks(len(rows), found.labels):
            log_p = probe.log_probabilities({SENTENCE: rows[start:end]})
            best_choices(log_p, ())
            margins.append(margin(log_p))
        queue_order(np.concatenate(margins), np.full(len(rows), True))

    return {"choose and fit": choose, "fit": fit, "score": min(seconds(score)[0] for _ in range(3))}


def measured(found: Vectors, name: str, seeds: int) -> dict[str, Any]:
    curves: dict[str, list[dict[int, float]]] = {}
    for strategy in (MARGIN, WITHOUT_NAMES, RANDOM):
        curves[strategy] = [curve(found, strategy, seed) for seed in range(seeds)]
        print(f"{name}, {strategy}: {_means(curves[strategy])}", flush=True)
    figures = {
        "accuracy": curves,
        "cycle": cycle(found),
        "wrong": [wrong_labels(found, s) for s in range(seeds)],
    }
    print(f"{name}: {figures['cycle']} {figures['wrong']}", flush=True)
    return figures


def main() -> None:
    parser = argument_parser(__doc__, rows=1500)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    parser.add_argument("--only", nargs="+", default=["banking77", "sst2"], help="the sets: classifications")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pool", type=int, default=3000, help="rows that may be asked")
    arguments = parser.parse_args()
    suite, every = every_set(), dict[str, dict[str, Any]]()
    for name in arguments.only:
        vectors = Vectors.of(read_set(name, suite[name], arguments.data), arguments.pool, arguments.rows)
        every[name] = measured(vectors, name, arguments.seeds)
        finish(arguments, table_of(arguments, every), {"probe": every})


def table_of(arguments: argparse.Namespace, every: dict[str, dict[str, Any]]) -> Table:
    title = f"The live probe, % right by the number of answers, mean of {arguments.seeds} seeds"
    table = figure_table(title, "set", *map(str, AT))
    for name, figures in every.items():
        for strategy, curves in figures["accuracy"].items():
            table.add_row(f"{name}, {strategy}", *(f"{one:.1f}" for one in _means(curves).values()))
        first, within = (np.mean([one[part] for one in figures["wrong"]]) for part in figures["wrong"][0])
        took = ", ".join(f"{part} {one:.2f} s" for part, one in figures["cycle"].items())
        table.add_section()
        table.add_row(f"5% wrong labels: {first:.0f}% of the first 50 are, {within:.0f}% found within 2 k")
        table.add_row(f"{_CYCLE_ROWS:,} rows: {took}", end_section=True)
    return table


def _means(curves: Sequence[dict[int, float]]) -> dict[int, float]:
    return {count: round(float(np.mean([one[count] for one in curves])), 1) for count in AT}


if __name__ == "__main__":
    main()
