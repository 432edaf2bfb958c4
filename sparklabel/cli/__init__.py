"""The command line: `sparklabel COMMAND`; each command calls one public function.

Exit codes: 0 done, 1 a bug, 2 an error whose message says what to do, 130 interrupted.
"""

from sparklabel.cli import benchmark, environment, history, instruct, loop, review, runs, sql
from sparklabel.cli.app import app, run

__all__ = [
    "app",
    "benchmark",
    "environment",
    "history",
    "instruct",
    "loop",
    "main",
    "review",
    "run",
    "runs",
    "sql",
]


def main() -> None:
    """The `sparklabel` command."""
    run(app)
