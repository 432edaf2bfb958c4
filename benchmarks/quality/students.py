"""Whether `method="auto"` chooses well: it and each single method, taught the same answers, asked the same test rows.

    python -m benchmarks.quality.students --data DIR [--only banking77 sst2 trec] [--ways classifier] [--answers 600]
        [--seeds 3] [--first-seed 0] [--rows 1000]

A seed draws the answers from a set's training part. "auto" sees nothing but these. What it trained is used again where
a single method would train the same, so all four cost two trainings of LoRA. Figures go to `--out` after each seed.
"""

import argparse
from collections.abc import Sequence
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
from sparklabel.udf import LabelerSpec

ENTRIES = {
    AUTO: Entry(DEFAULT, AUTO, method=AUTO),
    CLASSIFIER: Entry(DEFAULT, CLASSIFIER, method=CLASSIFIER),
    "encoder": Entry(DEFAULT, "with its encoder", method=CLASSIFIER, tune_encoder=True),
    LORA: Entry(DEFAULT, LORA, method=LORA),
}


def drawn(found: SetRows, seed: int, answers: int, rows: int) -> SetRows:
    """The set with the answers that the seed draws, and its first test rows."""
    order = np.random.default_rng(seed).permutation(len(found.train))[:answers]
    return replace(found, train=[found.train[number] for number in order], test=found.test[:rows])


def compared(found: SetRows, name: str, ways: Sequence[str]) -> dict[str, Any]:
    """How each of the ways does, in %, and what "auto" chose."""
    figures: dict[str, Any] = {}
    with ExitStack() as stack:  # keeps what is trained until all have used it
        for entry in map(ENTRIES.__getitem__, ways):
            spec, selection = stack.enter_context(taught(name, found, entry, len(found.train)))
            figures[entry.name] = 100 * agreement(spec, found)
            figures |= {"selection": selection} if selection else {}
            print(f"{name} {entry.name}: {figures[entry.name]:.1f} {selection or read_by(spec)}", flush=True)
    return figures


def read_by(spec: LabelerSpec) -> str:
    """What a classifier reads, with the weights of the pool; empty for an adapter alone."""
    classifier = spec.manifest.classifier if spec.manifest else None
    return (
        ", ".join(f"{source} {weight:.2f}" for source, weight in classifier.weights.items())
        if classifier
        else ""
    )


def main() -> None:
    parser = argument_parser(__doc__, rows=1000)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    parser.add_argument("--only", nargs="+", default=["banking77", "sst2", "trec"], help="the sets")
    parser.add_argument("--ways", nargs="+", default=list(ENTRIES), choices=ENTRIES, help="of teaching")
    parser.add_argument("--answers", type=int, default=600, help="that teach")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="where an earlier run ended")
    arguments = parser.parse_args()
    suite, every = every_set(), dict[str, list[dict[str, Any]]]()
    for name in arguments.only:
        found = read_set(name, suite[name], arguments.data)
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            rows = drawn(found, seed, arguments.answers, arguments.rows)
            every.setdefault(name, []).append(compared(rows, name, arguments.ways))
            finish(arguments, table_of(arguments, every), {"students": every})


def table_of(arguments: argparse.Namespace, every: dict[str, list[dict[str, Any]]]) -> Any:
    table = figure_table(
        f"Students of {arguments.answers:,} answers, % right: each seed, and their mean", "set",
        *(ENTRIES[way].name for way in arguments.ways),
    )  # fmt: skip
    for name, seeds in every.items():
        columns = ([one[ENTRIES[way].name] for one in seeds] for way in arguments.ways)
        table.add_row(name, *map(seeds_and_mean, columns))
    return table


if __name__ == "__main__":
    main()
