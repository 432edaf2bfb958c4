"""A real standalone cluster on loopback: a master and two workers from pip's pyspark, each worker with a GPU that a
discovery script tells of. There is no GPU: the scripts say so, and one host has a driver that names its own. Each
worker has an address of its own: a task's speculative copy runs on another host only."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from sparklabel.delta.jars import delta_jars
from tests.jvm import QUICK_JVM

ROOT = Path(__file__).parents[2]
SPARK = Path(find_spec("pyspark").origin).parent
SECONDS = 120
# What nvidia-smi says on a host with one GPU, for both questions that are asked of it here.
NVIDIA_SMI = 'case "$1" in *uuid*) echo "0, GPU-zero" ;; *) echo 0 ;; esac'
FORTY = 'echo \'{"name": "gpu", "addresses": ["40"]}\''
# Ends a command when standard input does: what the tests start dies with them, however they end.
LEASH = """
exec 3<&0
"$@" 3<&- & command=$!
{ read -r _ <&3; kill $command; } >/dev/null 2>&1 & watch=$!
wait $command; code=$?
kill $watch 2>/dev/null
exit $code
"""


@dataclass(frozen=True)
class Cluster:
    """`folder` is the temporary folder (TMPDIR) of its workers, and so of all that they start. `leash`: the input at
    whose end everything dies."""

    master: str
    folder: Path
    leash: int

    def submit(self, *arguments):
        """Runs spark-submit to its end."""
        command, options = self.command(*arguments)
        return subprocess.run(command, **options, capture_output=True, timeout=500)

    def start(self, *arguments, conf, said):
        """The same, without waiting and with more settings; what it says goes into a file."""
        command, options = self.command(*arguments, conf=conf)
        with open(said, "wb") as out:
            return subprocess.Popen(command, **options, stdout=out, stderr=out)

    def command(self, *arguments, conf=()):
        """spark-submit with conf/spark-gpu.conf, less what a small machine does not have."""
        small = {
            "spark.cores.max": 4, "spark.executor.cores": 2, "spark.task.resource.gpu.amount": 0.5,
            "spark.executor.memory": "512m", "spark.driver.memory": "1g", "spark.ui.enabled": "false",
            "spark.executor.extraJavaOptions": QUICK_JVM, "spark.driver.extraJavaOptions": QUICK_JVM,
            "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.sql.shuffle.partitions": 2, "spark.databricks.delta.snapshotPartitions": 2,
            "spark.eventLog.enabled": "true", "spark.eventLog.dir": self.folder.as_uri(),
            "spark.eventLog.compress": "false", "spark.eventLog.rolling.enabled": "false",
        }  # fmt: skip
        command = [SPARK / "bin" / "spark-submit", "--master", self.master, "--jars", ",".join(map(str, delta_jars())),
                   "--properties-file", ROOT / "conf" / "spark-gpu.conf"]  # fmt: skip
        command += [
            word for pair in (small | dict(conf)).items() for word in ("--conf", "=".join(map(str, pair)))
        ]
        return leashed(*command, *arguments), {"stdin": self.leash, "env": environment(), "text": True}


class Daemon:
    """One of Spark's, on a port that is free."""

    def __init__(self, name, folder, leash, *arguments, host="127.0.0.1", **variables):
        folder.mkdir(exist_ok=True)
        self.name, self.log = name, folder / "log"
        start = (SPARK / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", "--host", host)
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                leashed(*start, "--port", "0", "--webui-port", "0", *arguments),
                stdin=leash, stdout=log, stderr=log, start_new_session=True,
                env=environment() | {"SPARK_LOCAL_IP": host} | variables,
            )  # fmt: skip

    def said(self, pattern):
        """Waits for a line of the log; fails, with the log, where it does not come."""
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.log.read_text())):
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self.name} did not start:\n{self.log.read_text()}")
            time.sleep(0.1)
        return found[0]

    def wait(self):
        """For its end; one that does not come is made."""
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@pytest.fixture(scope="package")
def cluster(cache, tmp_path_factory):
    folder, daemons = tmp_path_factory.mktemp("cluster"), []
    leash, end = os.pipe()
    try:
        daemons.append(Daemon("master.Master", folder / "master", leash))
        master = daemons[0].said(r"spark://127\.0\.0\.1:\d+")
        driver = program(folder / "bin" / "nvidia-smi", NVIDIA_SMI)
        with_driver = {"PATH": f"{driver.parent}{os.pathsep}{os.environ['PATH']}"}
        daemons.append(worker(folder / "zero", leash, master, ROOT / "conf" / "gpus.sh", **with_driver))
        daemons.append(
            worker(folder / "forty", leash, master, program(folder / "forty.sh", FORTY), host="127.0.0.2")
        )
        for daemon in daemons[1:]:
            daemon.said("Successfully registered with master")
        yield Cluster(master, folder, leash)
    finally:
        os.close(end)
        for daemon in daemons:
            daemon.wait()
        os.close(leash)


def worker(folder, leash, master, discovery, **variables):
    folder.mkdir()
    resources = folder / "resources.conf"
    resources.write_text(
        f"spark.worker.resource.gpu.amount 1\nspark.worker.resource.gpu.discoveryScript {discovery}\n"
    )
    return Daemon(
        "worker.Worker", folder, leash, "--cores", "2", "--memory", "1g", "--work-dir", folder,
        "--properties-file", resources, master, TMPDIR=str(folder.parent), **variables,
    )  # fmt: skip


def leashed(*command):
    return ["bash", "-c", LEASH, "leash", *command]


def environment():
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    spark = {"SPARK_HOME": str(SPARK), "SPARK_LOCAL_IP": "127.0.0.1"}
    return os.environ | python | spark | {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": QUICK_JVM}


def program(path, lines):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path
