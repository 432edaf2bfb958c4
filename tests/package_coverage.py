"""Coverage by package: `python -m tests.package_coverage REPORT.json` prints a table of what coverage.py measured.

In: the JSON report of coverage.py (`coverage json`, `--cov-report=json:FILE`), with branches. Out: a line for each
package of sparklabel, and one for all.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any


@dataclass(frozen=True, slots=True)
class Covered:
    """Lines and branches: how many there are, and how many of them ran."""

    lines: int = 0
    lines_run: int = 0
    branches: int = 0
    branches_run: int = 0

    @classmethod
    def of(cls, summary: Mapping[str, int]) -> "Covered":
        """From the `summary` that coverage.py gives for a file."""
        return cls(
            summary["num_statements"],
            summary["covered_lines"],
            summary["num_branches"],
            summary["covered_branches"],
        )

    def __add__(self, other: "Covered") -> "Covered":
        return Covered(
            self.lines + other.lines,
            self.lines_run + other.lines_run,
            self.branches + other.branches,
            self.branches_run + other.branches_run,
        )


def by_package(report: Mapping[str, Any]) -> dict[str, Covered]:
    """What was covered of each package directly below sparklabel; its own modules are under `sparklabel`."""
    found: defaultdict[str, Covered] = defaultdict(Covered)
    for path, file in report["files"].items():
        found[_package(path)] += Covered.of(file["summary"])
    return dict(sorted(found.items()))


def _package(path: str) -> str:
    # From the right: a checkout may have that name too.
    _, _, inside = PurePath(path).parent.as_posix().rpartition("sparklabel")
    return inside.strip("/").partition("/")[0] or "sparklabel"


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the table."""
    packages = by_package(report)
    yield f"{'package':<16}{'lines':>8}{'run':>8}{'branches':>10}{'run':>8}"
    for name, one in (*packages.items(), ("all", sum(packages.values(), Covered()))):
        lines, branches = _share(one.lines_run, one.lines), _share(one.branches_run, one.branches)
        yield f"{name:<16}{one.lines:>8,}{lines:>8}{one.branches:>10,}{branches:>8}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(*table(json.load(file)), sep="\n")
