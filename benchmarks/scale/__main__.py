"""A pass at sizes that nobody has a cluster for here: `python -m benchmarks.scale [--rows 100000000] [--slots 4000]`.

A simulation from the protocol's own constants: which files and commits a first pass leaves in staging, how often it
lists, what the driver holds, what a kill loses. No Spark. Exits with 1 where a figure is above its bound.
"""

import argparse
import sys
from dataclasses import asdict, replace

from benchmarks.harness import argument_parser, figure_table, finish
from benchmarks.scale.simulation import Figures, Scenario, simulate
from sparklabel.labeling.chunks import WRITE_RATE

BOUNDS = {
    "files": 10_000,
    "staging_commits": 10_000,
    "table_commits": 1_000,
    "checkpointed": 10_000_000,
    "lists": 25_000,
    "lost_seconds": 900.0,
    "idle": 0.05,
    "driver_bytes": 64 * 2**20,
}
"""A scan plans with every file of staging on the driver, and each checkpoint writes an entry for every file: about ten
thousand files are what Delta does without noticing. A kill costs a chunk, which has 64 rows a slot however slow these
are. Writing may cost a twentieth of the slots' time, and a second or so of it in short passes."""


def beyond(figures: Figures) -> list[str]:
    """The names of the figures that are above their bounds."""
    return [name for name, most in BOUNDS.items() if asdict(figures)[name] > most]


def scenarios(arguments: argparse.Namespace) -> list[Scenario]:
    """The rates from rows that take milliseconds to rows that take a minute, or the one that was asked for."""
    rates = [arguments.rate] if arguments.rate else [100.0, 10.0, 1.0, 0.1]
    one = Scenario(rows=arguments.rows, slots=arguments.slots, rate=rates[0], write_rate=arguments.write_rate)
    return [replace(one, rate=rate) for rate in rates]


def main() -> None:
    parser = argument_parser(__doc__, rows=100_000_000)
    parser.add_argument("--slots", type=int, default=4000, help="task slots (4,000 by default)")
    parser.add_argument("--rate", type=float, help="rows a second and slot (100, 10, 1 and 0.1 by default)")
    parser.add_argument(
        "--write-rate", type=float, default=WRITE_RATE, help="rows a second that a task writes"
    )
    arguments = parser.parse_args()
    wanted = scenarios(arguments)
    found = [simulate(one) for one in wanted]
    columns = [f"{one.rate:g} rows/s a slot" for one in wanted]
    title = f"{arguments.rows:,} rows, {arguments.slots:,} slots"
    table = figure_table(title, "figure", *columns, "at most")
    for name in asdict(found[0]):
        values = [
            f"{asdict(one)[name]:,.3g}" if name == "idle" else f"{asdict(one)[name]:,.0f}" for one in found
        ]
        table.add_row(name, *values, f"{BOUNDS[name]:,}" if name in BOUNDS else "")
    finish(
        arguments, table, {"figures": dict(zip(columns, map(asdict, found), strict=True)), "bounds": BOUNDS}
    )
    failed = {column: names for column, one in zip(columns, found, strict=True) if (names := beyond(one))}
    for column, names in failed.items():
        print(f"beyond its bound at {column}: {', '.join(names)}", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
