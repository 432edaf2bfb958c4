"""Ranks on this machine, as tests see them: their checkpoints, and their processes, to kill or left behind."""

import time
from contextlib import suppress
from pathlib import Path

PROGRAM = b"sparklabel.language_model.training.start_rank\0"


def wait_for_checkpoint(folder, attempt=1):
    """Until the attempt at a training somewhere below the folder has written one."""
    while not list(folder.rglob(f"attempt-{attempt}/step-*/COMPLETE")):
        time.sleep(0.01)


def rank_processes():
    """By number, each with its parent's, which is a Python worker of Spark's."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if PROGRAM in (folder / "cmdline").read_bytes():
                found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return found
