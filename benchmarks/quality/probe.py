"""What the probe of `sparklabel review` learns from how many answers, which rows it should ask about, how well wrong
labels are found, and how long it takes.

    python -m benchmarks.quality.probe --data DIR [--only banking77 sst2] [--seeds 3] [--pool 3000] [--rows 1500]

Rows come from a set's training part, `--pool` of them, and are judged on its test part. A seed draws the first rows and
the folds. "k-means + margin" is the order of the queue over all that the probe reads; "without names" is the same
without the labels' names; "sentence" and "hidden" read only that; "random" is random rows. A wrong label is a
confusable one: what heads that have not read the row find most probable of the others. Figures go to `--out` after each
set.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.harness import argument_parser, figure_table, finish, seconds
from benchmarks.quality import every_set
from sparklabel.benchmarking.suite import Row, SetRows, read_set
from sparklabel.classifiers.classifier import HIDDEN, SENTENCE
from sparklabel.classifiers.heads import cross_fitted
from sparklabel.models.references import DEFAULT
from sparklabel.models.shipped_encoder import ENCODER
from sparklabel.probe.hidden_states import Projection
from sparklabel.probe.live import LiveProbe
from sparklabel.reviewing.probe.ordering import START, kmeans_start, margin, queue_order
from sparklabel.reviewing.probe.row_features import ROWS_OF_PROJECTION
from sparklabel.reviewing.probe.sources import open_sources
from sparklabel.reviewing.probe.worker import FOLDS, ProbeWorker
from sparklabel.reviewing.review_call import AUTO
from sparklabel.reviewing.suspicious import suspicion
from sparklabel.splits import fold, is_held_out
from sparklabel.tasks import classification

MARGIN, WITHOUT_NAMES, RANDOM = "k-means + margin", "without names", "random"
STRATEGIES = (MARGIN, WITHOUT_NAMES, SENTENCE, HIDDEN, RANDOM)
AT = (20, 50, 100, 200, 300, 400, 500)
_BATCH = 10
_WRONG, _FIRST = 0.05, 50
_CYCLE_ROWS, _CYCLE_ANSWERS = 100_000, 500


Read = dict[str, np.ndarray]


@dataclass(frozen=True)
class Vectors:
    """A set as the probe sees it: features [N, F] by source, and numbers of the right labels [N], of the pool and of
    the test rows; the pool's folds [N], the labels' vectors [L, F]."""

    pool: Read
    right: np.ndarray
    folds: np.ndarray
    test: Read
    test_right: np.ndarray
    names: np.ndarray

    @property
    def labels(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, found: SetRows, pool: int, rows: int) -> "Vectors":
        sources = open_sources(found.task, AUTO, ENCODER, DEFAULT)
        assert sources.names is not None, "the sets are classifications of one text"
        parts = found.train[:pool], found.test[:rows]
        pooled, test = ({s: read(_texts(part)) for s, read in sources.read.items()} for part in parts)
        projection = Projection.fit(pooled[HIDDEN][:ROWS_OF_PROJECTION])
        pooled[HIDDEN], test[HIDDEN] = projection(pooled[HIDDEN]), projection(test[HIDDEN])
        pooled = {source: features.astype(np.float16) for source, features in pooled.items()}
        chosen = found.task.answer_mode.chosen
        right, test_right = (np.array([chosen(answer)[0] for _, answer in part]) for part in parts)
        folds = np.array([fold(inputs, FOLDS) for inputs, _ in parts[0]])
        return cls(pooled, right, folds, test, test_right, sources.names)


def _texts(part: Sequence[Row]) -> list[list[str]]:
    return [list(inputs) for inputs, _ in part]


def curve(found: Vectors, strategy: str, seed: int) -> dict[int, float]:
    """The accuracy on the test rows, in %, by the number of answers."""
    figures: dict[int, float] = {}
    for probe, asked in asking(found, strategy, seed):
        if len(asked) in AT:
            log_p = probe.log_probabilities(found.test)
            figures[len(asked)] = 100 * float((log_p.argmax(axis=1) == found.test_right).mean())
        if len(asked) >= AT[-1]:
            break
    return figures


def asking(found: Vectors, strategy: str, seed: int) -> Iterator[tuple[LiveProbe, list[int]]]:
    """The probe after every ten answers, and the rows that were asked, in order."""
    drawn = np.random.default_rng(seed).permutation(len(found.right))
    sources = [strategy] if strategy in (SENTENCE, HIDDEN) else list(found.pool)
    pool = {source: found.pool[source] for source in sources}
    is_open = np.full(len(drawn), True)
    has_names = strategy != WITHOUT_NAMES and SENTENCE in sources
    probe = LiveProbe((), found.labels, found.names if has_names else None)
    asked: list[int] = []
    vectors = pool[sources[0]].astype(np.float32)
    start = [] if strategy == RANDOM else kmeans_start(vectors, START, seed).tolist()
    order = np.array(list(dict.fromkeys([*start, *drawn.tolist()])))
    while is_open.any():
        new = order[is_open[order]][: _BATCH if asked else START]
        asked += new.tolist()
        is_open[new] = False
        answered = {source: features[asked] for source, features in pool.items()}
        probe.learn(answered, found.right[asked][:, None], found.folds[asked])
        yield probe, asked
        if strategy != RANDOM:
            order = queue_order(margin(probe.log_probabilities(pool)), is_open)


def wrong_labels(found: Vectors, seed: int) -> dict[str, float]:
    """How many of the first rows have a wrong label, and how many of the wrong labels are found, in %, if twice as many
    rows as are wrong are looked at."""
    random, rows = np.random.default_rng(seed), len(found.right)
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
    sentence = found.pool[SENTENCE].astype(np.float32)
    _, log_p = cross_fitted(sentence, given, (found.labels,), found.folds)
    return suspicion(log_p, given, (found.labels,))


def cycle(found: Vectors) -> dict[str, float]:
    """The seconds of a cycle of the probe's with 500 answers, from which it learns, and 100,000 rows, which it scores
    and orders: of one that chooses its strengths and weights anew, and of others. Half of the rows' hidden states are
    read."""
    texts = {f"{number}": (f"{number} rows",) for number in range(_CYCLE_ROWS)}
    teaching = [one for one, inputs in texts.items() if not is_held_out(inputs)][:_CYCLE_ANSWERS]
    numbers = np.arange(len(found.right))
    reading = {source: _repeated(features, numbers) for source, features in found.pool.items()}
    worker = ProbeWorker(
        classification("label", "text", [*map(str, range(found.labels))]), reading, found.names
    )
    worker.add_rows(list(texts.items()))
    worker.read_rows(_CYCLE_ROWS)
    worker.answer([(one, str(found.right[int(one) % len(numbers)])) for one in teaching])
    worker.read_answered(_CYCLE_ANSWERS)
    worker.read_rows(_CYCLE_ROWS // 2)
    choose, _ = seconds(worker.scores)
    return {"choose and learn": choose, "learn": min(seconds(worker.scores)[0] for _ in range(3))}


def _repeated(features: np.ndarray, numbers: np.ndarray) -> Callable[[Sequence[Sequence[str]]], np.ndarray]:
    """Reads row n as if it were row n modulo N."""

    def read(rows: Sequence[Sequence[str]]) -> np.ndarray:
        return features[[int(text.split()[0]) % len(numbers) for [text] in rows]].astype(np.float32)

    return read


def measured(found: Vectors, name: str, seeds: int) -> dict[str, Any]:
    curves: dict[str, list[dict[int, float]]] = {}
    for strategy in STRATEGIES:
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
