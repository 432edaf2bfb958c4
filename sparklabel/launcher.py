"""The ranks of a training as the tasks of one barrier stage: all start together or none, each a process on a leash.

In: a run's folder, a base, how many ranks. Out: what each rank says at its end. Spark does not retry a barrier stage
that returns rows, and need not: what comes after a lost rank is decided by the caller, who may take fewer.

Not pyspark's TorchDistributor: it reports success when a rank is killed or fails.
"""

import fcntl
import json
import os
import platform
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.errors import ModelError, SetupError, TrainingInterrupted
from sparklabel.language_model.training.run_folder import GONE, RunFolder
from sparklabel.models.references import ResolvedModel
from sparklabel.udf import worker_errors

if TYPE_CHECKING:
    import pyarrow as pa

_SCHEMA = "rank INT, host STRING, steps LONG, digest STRING, peak_bytes LONG"
_PROGRAM = "sparklabel.language_model.training.rank"
_LINES = 20
_SIOCGIFADDR = 0x8915
"""Linux's request for the address of a network interface."""


@dataclass(frozen=True, slots=True)
class RankResult:
    """What a rank says at its end: steps done, a hash of its weights, the most bytes it held."""

    rank: int
    host: str
    steps: int
    digest: str
    peak_bytes: int


def run_ranks(
    spark: SparkSession,
    run: RunFolder,
    base: ResolvedModel,
    attempt: int,
    world_size: int,
    minutes: float = 10.0,
) -> list[RankResult]:
    """Runs an attempt of a training to its end.

    Args:
        run: A folder that all executors see under the same path.
        base: The model that is trained; each host fetches it once.
        attempt: From `run.new_attempt()`.
        world_size: How many ranks, each a task. There must be so many slots: Spark would wait for them.
        minutes: How often a checkpoint is written.

    Raises:
        TrainingInterrupted: A rank was lost. Its checkpoints are in the folder.
        ModelError: A rank failed, and says why; or the ranks ended with different weights.
    """
    ranks = spark.range(0, world_size, 1, world_size)
    task = _task(str(run.path), base, attempt, minutes)
    with worker_errors():
        rows = ranks.mapInArrow(task, _SCHEMA, barrier=True).collect()
    results = sorted((RankResult(**row.asDict()) for row in rows), key=lambda one: one.rank)
    if [one.rank for one in results] != list(range(world_size)):
        raise TrainingInterrupted(
            f"Of {world_size} ranks {len(results)} said that they had come to their end.", hint="Call again."
        )
    if len({(one.digest, one.steps) for one in results}) > 1:
        raise ModelError(
            f"The ranks of the training in {run.path} ended with different weights.",
            hint="Their hosts compute differently: give all the same kind of processor and the same versions.",
        )
    return results


def _task(
    run: str, base: ResolvedModel, attempt: int, minutes: float
) -> Callable[[Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]:
    """What a task does, as a closure that Spark sends to executors."""

    def task(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa
        from pyspark import BarrierTaskContext

        for _ in batches:  # the rank is the partition's number, not its row
            pass
        context = BarrierTaskContext.get()
        meeting = _meet(context)
        _check_sees(Path(run))
        folder = registry.fetch(base).base
        command = [sys.executable, "-P", "-m", _PROGRAM, run, str(folder), str(attempt), str(minutes)]
        said = _run(command, meeting, Path(run) / f"attempt-{attempt}")
        row = {
            "rank": said["rank"],
            "host": platform.node(),
            **{n: said[n] for n in ("steps", "digest", "peak_bytes")},
        }
        schema = pa.schema([("rank", pa.int32()), ("host", pa.string()), ("steps", pa.int64()), ("digest", pa.string()),
                            ("peak_bytes", pa.int64())])  # fmt: skip
        yield pa.RecordBatch.from_pylist([row], schema)

    return task


def _meet(context: Any) -> dict[str, str]:
    """The environment in which the ranks find each other: the first one offers a port."""
    from importlib.metadata import version

    rank, tasks = context.partitionId(), context.getTaskInfos()
    address = socket.gethostbyname(tasks[rank].address.rpartition(":")[0])
    own = {
        "address": address,
        "port": _free_port(address),
        "versions": [version(n) for n in ("sparklabel", "torch")],
    }
    told = [json.loads(text) for text in context.allGather(json.dumps(own))]
    for number, other in enumerate(told):
        if other["versions"] != told[0]["versions"]:
            raise SetupError(
                f"Rank {number} has sparklabel and torch {other['versions']}, and rank 0 {told[0]['versions']}.",
                hint="Install the same versions on all executors.",
            )
    gpus = context.resources().get("gpu")
    found = {
        "RANK": str(rank), "WORLD_SIZE": str(len(tasks)), "MASTER_ADDR": told[0]["address"],
        "MASTER_PORT": str(told[0]["port"]), "SPARKLABEL_THREADS": str(context.cpus()),
        "CUDA_VISIBLE_DEVICES": gpus.addresses[0] if gpus and gpus.addresses else "",
    }  # fmt: skip
    interface = _interface_of(address)
    # A host with several would otherwise take the first.
    return found | ({"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface} if interface else {})


def _free_port(address: str) -> int:
    with socket.socket() as found:
        found.bind((address, 0))
        return int(found.getsockname()[1])


def _interface_of(address: str) -> str:
    """The name of the network interface with this address; "" if none is found."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                found = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, request)
            except OSError:  # it has no address
                continue
            if socket.inet_ntoa(found[20:24]) == address:
                return name
    return ""


def _check_sees(run: Path) -> None:
    if not (run / "spec.json").is_file():
        raise SetupError(
            f"The host {platform.node()} does not see the folder {run}.",
            hint="checkpoints= must name a folder that the driver and all executors share, under the same path.",
        )


def _run(command: list[str], meeting: dict[str, str], attempt: Path) -> dict[str, Any]:
    """What the rank says at its end. It dies when this process does: then its standard input ends."""
    rank = int(meeting["RANK"])
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    kept["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    log = attempt / f"rank-{rank}.log"
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=kept | meeting
        )
        try:
            assert process.stdout
            lines = process.stdout.read().splitlines()
            status = process.wait()
        finally:
            process.kill()
            process.wait()
    said = json.loads(lines[-1]) if lines else {}
    if status == 0 and said.get("rank") == rank:
        return said
    if status < 0 or status in (0, GONE):
        raise TrainingInterrupted(
            f"Rank {rank} of {meeting['WORLD_SIZE']} on {platform.node()} was lost (exit status {status}).",
            hint=f"The end of its log is in {log}.",
        )
    last = log.read_text("utf-8", "replace").strip().splitlines()[-_LINES:]
    why = last[-1] if last else "it says nothing"
    raise ModelError(
        f"Rank {rank} of {meeting['WORLD_SIZE']} on {platform.node()} failed: {why}",
        hint=f"Its log is {log}.",
    )
