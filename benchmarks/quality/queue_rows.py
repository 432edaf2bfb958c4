"""Whether models taught by the rows of `sparklabel review`'s queue are as good as models taught by random rows.

    python -m benchmarks.quality.queue_rows --data DIR [--only banking77 sst2] [--seeds 3] [--answers 400] [--rows 1000]

Of so many answers a fifth judges, if rows are random, and four fifths teach. In a review a quarter are audit rows,
which only judge, and three quarters are rows of the queue, which only teach. So 300 rows of the queue are compared with
320 random ones, all from the first 3,000 of a set's training part. Figures go to `--out` after each seed.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness import argument_parser, figure_table, finish
from benchmarks.quality import agreement, every_set, seeds_and_mean, taught
from benchmarks.quality.probe import MARGIN, RANDOM, Vectors, asking
from sparklabel.benchmarking.entries import Entry
from sparklabel.benchmarking.suite import SetRows, read_set
from sparklabel.models.references import DEFAULT
from sparklabel.training.call import CLASSIFIER, LORA

_POOL = 3000
METHODS = (CLASSIFIER, LORA)


def teaching(vectors: Vectors, strategy: str, seed: int, rows: int) -> list[int]:
    """The first rows that are asked."""
    return next(asked for _, asked in asking(vectors, strategy, seed) if len(asked) >= rows)[:rows]


def accuracy(name: str, found: SetRows, method: str) -> float:
    """In %, on the test rows, of a model that has learned all training rows."""
    with taught(name, found, Entry(DEFAULT, method, method=method), len(found.train)) as (spec, _):
        return 100 * agreement(spec, found)


def compared(
    name: str, found: SetRows, vectors: Vectors, arguments: argparse.Namespace, seed: int
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for strategy, share in ((MARGIN, 3 / 4), (RANDOM, 4 / 5)):
        rows = teaching(vectors, strategy, seed, round(share * arguments.answers))
        some = replace(found, train=[found.train[row] for row in rows])
        for method in METHODS:
            figures[f"{method}, {strategy}"] = accuracy(name, some, method)
    print(f"{name}, seed {seed}: {figures}", flush=True)
    return figures


def main() -> None:
    parser = argument_parser(__doc__, rows=1000)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    parser.add_argument("--only", nargs="+", default=["banking77", "sst2"], help="the sets: classifications")
    parser.add_argument("--answers", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    suite, every = every_set(), dict[str, list[dict[str, Any]]]()
    for name in arguments.only:
        found = read_set(name, suite[name], arguments.data)
        vectors, found = Vectors.of(found, _POOL, 1), replace(found, test=found.test[: arguments.rows])
        for seed in range(arguments.seeds):
            every.setdefault(name, []).append(compared(name, found, vectors, arguments, seed))
            finish(arguments, table_of(every), {"queue_rows": every})


def table_of(every: dict[str, list[dict[str, Any]]]) -> Any:
    names: Sequence[str] = list(next(iter(every.values()))[0])
    table = figure_table("Taught by the queue's rows or by random ones, % right", "set", *names)
    for name, seeds in every.items():
        columns = ([one[column] for one in seeds] for column in names)
        table.add_row(name, *map(seeds_and_mean, columns))
    return table


if __name__ == "__main__":
    main()
