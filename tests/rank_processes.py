"""Ranks, as tests see them: their checkpoints, and their processes, to kill or left behind."""

import os
import time
from contextlib import suppress
from pathlib import Path

PROGRAM = b"sparklabel.language_model.training.start_rank\0"


def wait_for_checkpoint(folder, attempt=1):
    """Until the attempt at a training somewhere below the folder has written one."""
    while not list(folder.rglob(f"attempt-{attempt}/step-*/COMPLETE")):
        time.sleep(0.01)


def rank_processes():
    """Those of this process's Spark, and orphans, by number, each with its parent's, which is a Python worker of
    Spark's. Another test process may have ranks of its own meanwhile."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if PROGRAM in (folder / "cmdline").read_bytes():
                above = list(_ancestors(int(folder.name)))
                if above[0] == 1 or os.getpid() in above:
                    found[int(folder.name)] = above[0]
    return found


def _ancestors(pid):
    """The numbers of its parent, of that one's parent, and so on to 1."""
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid
