"""The command line: `sparklabel COMMAND`; each command calls one public function.

Exit codes: 0 done, 1 a bug, 2 something to mend that the message names, 130 interrupted.
"""

from sparklabel.cli.app import app, run
from sparklabel.cli.history import cache, failures, passes, undo
from sparklabel.cli.loop import calibrate, evaluate, finetune, label
from sparklabel.cli.setup import demo, doctor, fetch
from sparklabel.cli.sql import sql

__all__ = [
    "cache",
    "calibrate",
    "demo",
    "doctor",
    "evaluate",
    "failures",
    "fetch",
    "finetune",
    "label",
    "passes",
    "run",
    "sql",
    "undo",
]


def main() -> None:
    """The `sparklabel` command."""
    run(app)
