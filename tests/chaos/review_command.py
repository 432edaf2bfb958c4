"""`sparklabel review` as people start it, and its processes as a killer sees them.

In: a table, a folder. Out: a link, and the server, the process that has Spark, its JVM, the probe."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import yaml

from tests.chaos.driver import TASK
from tests.jvm import QUICK_JVM

COMMAND = Path(sys.executable).with_name("sparklabel")
_SETTINGS = (
    "spark.master=local[2]", "spark.driver.memory=1g", "spark.sql.codegen.wholeStage=false",
    f"spark.driver.extraJavaOptions={QUICK_JVM}",
    "spark.sql.codegen.factoryMode=NO_CODEGEN",
)  # fmt: skip
CONF = tuple(part for one in _SETTINGS for part in ("--conf", one))


class Review:
    """The command, as people start it, and what a killer sees of it."""

    def __init__(self, table, folder, port=0):
        self.table, self.journal, self.port = table, folder / "review.db", port
        self.task = folder / "task.yaml"
        self.task.write_text(yaml.safe_dump(TASK.to_dict()))
        self.log = folder / "log.txt"
        self.process = self.url = None

    def command(self):
        return [
            COMMAND, "review", "--table", self.table, "--task", self.task, "--key", "id", "--journal", self.journal,
            "--port", str(self.port), "--flush-every", "2", "--no-browser", *CONF,
        ]  # fmt: skip

    def start(self):
        """Starts it, and returns when its link is there: before Spark is."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(map(str, self.command())), stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                text=True,
            )  # fmt: skip
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.log.read_text()
        self.port = int(self.url.partition("/?")[0].rpartition(":")[2])

    def end(self):
        """Kills whatever is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def kill(self, victim):
        """Kills one process; False if there is none such now."""
        pid = self.pids().get(victim)
        with suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def pids(self):
        """The processes by what they do. Only the table's has a child: the JVM."""
        parents = parents_of_all()
        found = {"server": self.process.pid}
        workers = [pid for pid, parent in parents.items() if parent == self.process.pid and is_spawned(pid)]
        for pid in workers:
            jvm = next((child for child, parent in parents.items() if parent == pid), None)
            found |= {"probe": pid} if jvm is None else {"table": pid, "jvm": jvm}
        return found


def parents_of_all():
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def is_spawned(pid):
    with suppress(OSError):
        return "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    return False
