"""The ranks of a training as the tasks of one barrier stage: all start together or none, each a process on a leash.

In: a run's folder, a base, how many ranks. Out: what each rank says at its end. Spark does not retry a barrier stage
that returns rows, and need not: what comes after a lost rank is decided by the caller, who may take fewer.

Not pyspark's TorchDistributor: it reports success when a rank is killed or fails.
"""

import fcntl
import json
import os
import platform
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.delta.errors import is_death, spark_errors
from sparklabel.errors import ModelError, SetupError, TrainingInterrupted
from sparklabel.language_model.training.run_folder import GONE, RunFolder
from sparklabel.models.references import ResolvedModel
from sparklabel.redaction import first_line
from sparklabel.training.processes import CHECKPOINT_MINUTES
from sparklabel.udf import vacate_gpu, worker_errors

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.resource import ResourceProfile

_SCHEMA = "rank INT, host STRING, steps LONG, digest STRING, peak_bytes LONG, device STRING"
_PROGRAM = "sparklabel.language_model.training.start_rank"
_LOOK_SECONDS = 0.5
_NO_STAGE = re.compile(r"SPARK-24819|barrier sync")
"""What Spark says when too few slots are left for a barrier stage, and when its tasks do not all come to meet."""
_SIOCGIFADDR = 0x8915
"""Linux's request for the address of a network interface."""


@dataclass(frozen=True, slots=True)
class RankResult:
    """What a rank says at its end: steps done, a hash of its weights, the most bytes that it held on its device ("cpu"
    or "cuda")."""

    rank: int
    host: str
    steps: int
    digest: str
    peak_bytes: int
    device: str


def run_ranks(
    spark: SparkSession,
    run: RunFolder,
    base: ResolvedModel,
    attempt: int,
    world_size: int,
    *,
    minutes: float = CHECKPOINT_MINUTES,
    profile: "ResourceProfile | None" = None,
) -> list[RankResult]:
    """Runs an attempt of a training to its end.

    Args:
        spark: The session.
        run: A folder that all executors see under the same path.
        base: The model that is trained; each host fetches it once.
        attempt: From `run.new_attempt()`.
        world_size: How many ranks, each a task. Spark waits until there are so many slots.
        minutes: How often a checkpoint is written.
        profile: What each rank needs, if it is a GPU. Without it they compute on CPUs.

    Raises:
        TrainingInterrupted: A rank was lost, or asked to end. Its checkpoints are in the folder.
        ModelError: A rank failed, and says why; or the ranks ended with different weights.
        SetupError: The executors do not see the folder, or differ in what is installed.
    """
    ranks = spark.range(0, world_size, 1, world_size)
    task = _task(str(run.path), base, attempt, minutes, on_gpu=profile is not None)
    try:
        with worker_errors():
            rows = ranks.mapInArrow(task, _SCHEMA, barrier=True, profile=profile).collect()
    except TrainingInterrupted as lost:
        # Where one rank fails the others lose it, and may be the first to say so.
        if failure := run.failure(attempt):
            raise failure from lost
        raise
    except spark_errors() as error:
        if failure := run.failure(attempt):
            raise failure from error
        if not (is_death(error) or _NO_STAGE.search(str(error))):
            raise
        raise TrainingInterrupted(f"A process of Spark's was lost: {first_line(error)}") from error
    results = sorted((RankResult(**row.asDict()) for row in rows), key=lambda one: one.rank)
    check_results(results, run, attempt, world_size)
    return results


def check_results(results: list[RankResult], run: RunFolder, attempt: int, world_size: int) -> None:
    """Raises unless every rank has said that it came to its end, all with the same weights, and these are there."""
    if [one.rank for one in results] != list(range(world_size)):
        raise TrainingInterrupted(
            f"Only {len(results)} of {world_size} ranks reported that they finished.", hint="Call again."
        )
    if len({(one.digest, one.steps) for one in results}) > 1:
        raise ModelError(
            f"The ranks of the training in {run.path} ended with different weights.",
            hint="Their hosts compute differently: give all the same kind of processor and the same versions.",
        )
    done = run.done(attempt)
    if done is None or done[1]["digest"] != results[0].digest:
        raise TrainingInterrupted(
            f"All {world_size} ranks came to their end, but {run.attempt(attempt)} has no finished adapter of theirs.",
            hint="Does every rank write into the same folder? Call again: it goes on from the newest checkpoint.",
        )


def _task(
    run: str, base: ResolvedModel, attempt: int, minutes: float, *, on_gpu: bool
) -> Callable[[Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]:
    """What a task does, as a closure that Spark sends to executors."""

    def task(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa
        from pyspark import BarrierTaskContext

        for _ in batches:  # the rank is the partition's number, not its row
            pass
        context, folder = BarrierTaskContext.get(), RunFolder(Path(run))
        _check_sees(folder, attempt)
        # Before the ranks meet: a host that downloads for long would use up the others' patience.
        model = registry.fetch(base).base
        if on_gpu:
            with _variable("CUDA_VISIBLE_DEVICES", _own_gpu(context)):
                vacate_gpu()
        environment = rank_environment(context, on_gpu=on_gpu)
        command = [sys.executable, "-P", "-m", _PROGRAM, run, str(model), str(attempt), str(minutes)]
        said = _run(command, environment, folder, attempt)
        schema = pa.schema(
            [("rank", pa.int32()), ("host", pa.string()), ("steps", pa.int64()), ("digest", pa.string()),
             ("peak_bytes", pa.int64()), ("device", pa.string())]
        )  # fmt: skip
        yield pa.RecordBatch.from_pylist([said | {"host": platform.node()}], schema)

    return task


def rank_environment(context: Any, *, on_gpu: bool) -> dict[str, str]:
    """The environment variables of a rank's process, after its task, with `context`, has met the others: the first rank
    offers a port. Each sees its task's GPU alone.

    Raises SetupError if versions of sparklabel or torch differ among the hosts.
    """
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
    found = {
        "RANK": str(rank), "WORLD_SIZE": str(len(tasks)), "MASTER_ADDR": told[0]["address"],
        "MASTER_PORT": str(told[0]["port"]), "SPARKLABEL_THREADS": str(context.cpus()),
        "LOCAL_WORLD_SIZE": str(sum(other["address"] == address for other in told)),
        "CUDA_VISIBLE_DEVICES": _own_gpu(context) if on_gpu else "",
    }  # fmt: skip
    interface = _interface_of(address)
    # A host with several would otherwise take the first.
    return found | ({"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface} if interface else {})


def _own_gpu(context: Any) -> str:
    """The number of the task's GPU; "" if it has none."""
    gpus = context.resources().get("gpu")
    return str(gpus.addresses[0]) if gpus and gpus.addresses else ""


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


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Sets an environment variable inside; Spark uses the process for other tasks afterwards."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _check_sees(run: RunFolder, attempt: int) -> None:
    hint = "checkpoints= must name a folder that the driver and all executors share under the same path, and may write."
    if not run.is_there:
        raise SetupError(f"The host {platform.node()} does not see the folder {run.path}.", hint=hint)
    if not os.access(run.attempt(attempt), os.W_OK | os.X_OK):
        raise SetupError(f"The host {platform.node()} cannot write into the folder {run.path}.", hint=hint)


def _run(command: list[str], environment: dict[str, str], run: RunFolder, attempt: int) -> dict[str, Any]:
    """What the rank says at its end. It dies when this process does: then its standard input ends."""
    rank = int(environment["RANK"])
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    kept["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    log = run.log(attempt, rank)
    with open(log, "wb") as errors, tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=out, stderr=errors, env=kept | environment
        )
        try:
            status = _wait(process, run, attempt)
        finally:
            process.kill()
            process.wait()
        said = _last_line(out)
    if status == 0 and said.get("rank") == rank:
        return said
    where = f"Rank {rank} of {environment['WORLD_SIZE']} on {platform.node()}"
    if status == GONE and run.end_asked(attempt):
        raise TrainingInterrupted(f"{where} has ended, as it was asked to.")
    if status < 0 or status in (0, GONE):
        raise TrainingInterrupted(
            f"{where} was lost ({_how_it_ended(status)}).", hint=f"The end of its log is in {log}."
        )
    if failure := run.failure(attempt):
        raise failure
    raise ModelError(f"{where} failed (exit status {status}).", hint=f"Its log is {log}.")


def _wait(process: "subprocess.Popen[bytes]", run: RunFolder, attempt: int) -> int:
    """The rank's exit status. It gets SIGTERM when the driver asks the attempt to end."""
    is_told = False
    while True:
        try:
            return process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if not is_told and run.end_asked(attempt):
                process.send_signal(signal.SIGTERM)
                is_told = True


def _last_line(out: IO[bytes]) -> dict[str, Any]:
    out.seek(0)
    lines = out.read().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else {}
    except ValueError:  # a library has printed something
        return {}
    return said if isinstance(said, dict) else {}


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return "it said nothing" if status == 0 else "it lost another rank, or was asked to end"
