"""Whether `method="auto"` chooses well: it and each single method, taught the same answers, asked the same test rows.

    python -m benchmarks.quality.students --data DIR [--only banking77 sst2 trec] [--answers 600] [--seeds 3]
        [--rows 1000]

A seed draws the answers from a set's training part. "auto" sees nothing but these. What it trained is used again where
a single method would train the same, so all four cost two trainings of LoRA. Figures go to `--out` after each seed.
"""

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import argument_parser, figure_table, finish
from benchmarks.quality import agreement, every_set, seeds_and_mean, taught
from sparklabel.benchmarking.entries import Entry
from sparklabel.benchmarking.suite import SetRows, read_set
from sparklabel.models.references import DEFAULT
from sparklabel.training.call import AUTO, CLASSIFIER, LORA

ENTRIES = (
    Entry(DEFAULT, AUTO, method=AUTO),
    Entry(DEFAULT, CLASSIFIER, method=CLASSIFIER),
    Entry(DEFAULT, "with its encoder", method=CLASSIFIER, tune_encoder=True),
    Entry(DEFAULT, LORA, method=LORA),
)


def drawn(found: SetRows, seed: int, answers: int, rows: int) -> SetRows:
    """The set with the answers that the seed draws, and its first test rows."""
    order = np.random.default_rng(seed).permutation(len(found.train))[:answers]
    return replace(found, train=[found.train[number] for number in order], test=found.test[:rows])


def compared(found: SetRows, name: str) -> dict[str, Any]:
    """How each does, in %, and what "auto" chose."""
    figures: dict[str, Any] = {}
    with ExitStack() as stack:  # keeps what is trained until all have used it
        for entry in ENTRIES:
            spec, selection = stack.enter_context(taught(name, found, entry, len(found.train)))
            figures[entry.name] = 100 * agreement(spec, found)
            figures |= {"selection": selection} if selection else {}
            print(f"{name} {entry.name}: {figures[entry.name]:.1f} {selection}", flush=True)
    return figures


def main() -> None:
    parser = argument_parser(__doc__, rows=1000)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    parser.add_argument("--only", nargs="+", default=["banking77", "sst2", "trec"], help="the sets")
    parser.add_argument("--answers", type=int, default=600, help="that teach")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    suite, every = every_set(), dict[str, list[dict[str, Any]]]()
    for name in arguments.only:
        found = read_set(name, suite[name], arguments.data)
        for seed in range(arguments.seeds):
            rows = drawn(found, seed, arguments.answers, arguments.rows)
            every.setdefault(name, []).append(compared(rows, name))
            finish(arguments, table_of(arguments, every), {"students": every})


def table_of(arguments: argparse.Namespace, every: dict[str, list[dict[str, Any]]]) -> Any:
    table = figure_table(
        f"Students of {arguments.answers:,} answers, % right: each seed, and their mean", "set",
        *(entry.name for entry in ENTRIES),
    )  # fmt: skip
    for name, seeds in every.items():
        columns = ([one[entry.name] for one in seeds] for entry in ENTRIES)
        table.add_row(name, *map(seeds_and_mean, columns))
    return table


if __name__ == "__main__":
    main()
