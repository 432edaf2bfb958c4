"""How many processes train, on what, and where they meet: what the user asked for, checked against the cluster.

In: the arguments of `finetune`, a session. Out: `Processes`, or an error, before anything is loaded.
"""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pyspark.sql import SparkSession

from sparklabel.arguments import is_number
from sparklabel.cache_dir import cache_folder
from sparklabel.delta.session import is_connect, task_slots
from sparklabel.delta.snapshot import check_folders
from sparklabel.errors import SetupError

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

CHECKPOINT_MINUTES = 10.0
_MAX_PROCESSES = 1024
_GPUS, _CORES, _CPUS = (
    "spark.executor.resource.gpu.amount",
    "spark.executor.cores",
    "spark.task.cpus",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """Who trains.

    Attributes:
        count: How many processes (ranks). 1 trains where `finetune` is called.
        least: With how many it goes on when executors are lost.
        on_gpus: Whether each of several gets a GPU of an executor.
        checkpoints: A folder for checkpoints that the driver and all executors reach. None: none are written.
        minutes: How often one is written.
    """

    count: int = 1
    least: int = 1
    on_gpus: bool = False
    checkpoints: Path | None = None
    minutes: float = CHECKPOINT_MINUTES

    @classmethod
    def checked(
        cls,
        spark: SparkSession,
        num_processes: int,
        min_processes: int | None,
        use_gpu: bool | None,
        checkpoints: str | None,
        checkpoint_minutes: float,
        *,
        needs_folder: bool = False,
    ) -> "Processes":
        """What the arguments of `finetune` mean on this cluster. `needs_folder`: a single process writes checkpoints,
        too, since its training takes long.

        Raises:
            SetupError: One is out of its range; or the cluster cannot run so many ranks at once, has no GPUs, or
                allocates executors dynamically; or `checkpoints` is not a folder that can be written.
            TableError: `checkpoints` lies inside a Delta table.
        """
        check_processes(num_processes, min_processes, use_gpu, checkpoint_minutes)
        count, least = num_processes, min_processes or num_processes
        if count == 1:
            _check_own_gpu(use_gpu)
            is_without = checkpoints is None and not needs_folder
            folder = None if is_without else _shared(spark, checkpoints)
            return cls(checkpoints=folder, minutes=checkpoint_minutes)
        if _setting(spark, "spark.dynamicAllocation.enabled") == "true":
            raise SetupError(
                f"num_processes={count} needs executors that stay, and spark.dynamicAllocation.enabled is true.",
                hint="Start the session with spark.dynamicAllocation.enabled=false and as many executors as you need.",
            )
        on_gpus = needs_gpus(spark, use_gpu)
        if on_gpus and not _gpus_an_executor(spark):
            raise SetupError(
                "use_gpu=True, and Spark knows of no GPUs on the executors.",
                hint=f"Start the session with {_GPUS}=1 and a discovery script (see conf/spark-gpu.conf).",
            )
        if (slots := rank_slots(spark, on_gpus)) < count:
            raise SetupError(
                f"{count} ranks, and the cluster has {slots} {_slots(spark, on_gpus, slots)}.",
                hint=f"Give num_processes={max(slots, 1)}, or start the session with more executors or cores"
                + (" (in local mode spark.master=local[N])." if _is_local(spark) else "."),
            )
        return cls(
            count=count, least=least, on_gpus=on_gpus, checkpoints=_shared(spark, checkpoints),
            minutes=checkpoint_minutes,
        )  # fmt: skip

    def profile(self, spark: SparkSession) -> "ResourceProfile | None":
        """What Spark gives each rank beyond a slot: a whole GPU, also where the session's tasks share one, and the
        cores that go with it. None where ranks compute on CPUs."""
        if not self.on_gpus:
            return None
        from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

        needs = TaskResourceRequests().cpus(_cpus_a_gpu(spark)).resource("gpu", 1)
        return ResourceProfileBuilder().require(needs).build


def check_processes(
    num_processes: object, min_processes: object, use_gpu: object, checkpoint_minutes: object
) -> None:
    """Raises SetupError for what no cluster could do."""
    count = _count("num_processes", num_processes)
    if min_processes is not None and _count("min_processes", min_processes) > count:
        raise SetupError(f"min_processes={min_processes} is more than num_processes={count}.")
    if use_gpu not in (None, True, False):
        raise SetupError(f"use_gpu={use_gpu!r} is not True, False or None.")
    if not _is_above_zero(checkpoint_minutes):
        raise SetupError(f"checkpoint_minutes={checkpoint_minutes!r} is not a number above 0.")


def _check_own_gpu(use_gpu: bool | None) -> None:
    """Raises SetupError where a single process was to have a GPU and sees none."""
    if not use_gpu:
        return
    from sparklabel.language_model.model import default_device  # imports torch

    if default_device().type != "cuda":
        raise SetupError(
            "use_gpu=True, and this process, which would train alone, sees no GPU.",
            hint="With num_processes above 1, ranks train on executors' GPUs. Leave use_gpu out to train on the CPU.",
        )


def needs_gpus(spark: SparkSession, use_gpu: bool | None) -> bool:
    """Whether ranks compute on GPUs: as asked for, or if executors have any."""
    return _gpus_an_executor(spark) > 0 if use_gpu is None else use_gpu


def rank_slots(spark: SparkSession, on_gpus: bool) -> int:
    """How many ranks can run at once now, if nothing else does. Over Spark Connect executors without a core count are
    taken for one: the server does not tell how many there are."""
    if is_connect(spark):
        slots, cores = task_slots(spark), int(_setting(spark, _CORES) or 0)
        executors = max(1, slots // cores) if cores else 1
        return min(slots, executors * _ranks_an_executor(spark)) if on_gpus else slots
    jvm = spark.sparkContext._jsc.sc()
    if on_gpus:
        executors = jvm.getExecutorMemoryStatus().size() - 1  # the driver is one of them
        return int(executors * _ranks_an_executor(spark))
    return int(jvm.maxNumConcurrentTasks(jvm.resourceProfileManager().defaultResourceProfile()))


def _count(name: str, given: object) -> int:
    if type(given) is not int or given < 1:
        raise SetupError(f"{name}={given!r} is not a whole number above 0.")
    if given > _MAX_PROCESSES:
        raise SetupError(f"{name}={given} is not from 1 to {_MAX_PROCESSES}.")
    return given


def _is_above_zero(given: object) -> bool:
    return is_number(given) and 0 < given < math.inf


def _setting(spark: SparkSession, name: str) -> str:
    return spark.conf.get(name, "") or ""


def _is_local(spark: SparkSession) -> bool:
    return _setting(spark, "spark.master").startswith("local")


def _gpus_an_executor(spark: SparkSession) -> int:
    return 0 if _is_local(spark) else int(_setting(spark, _GPUS) or 0)


def _cpus_a_gpu(spark: SparkSession) -> int:
    """The cores of each rank on a GPU: its share of the executor's."""
    cores = int(_setting(spark, _CORES) or 0)
    return max(1, cores // _gpus_an_executor(spark), int(_setting(spark, _CPUS) or 1))


def _ranks_an_executor(spark: SparkSession) -> int:
    """How many ranks on GPUs an executor has the GPUs and, if its cores are known, the cores for."""
    gpus, cores = _gpus_an_executor(spark), int(_setting(spark, _CORES) or 0)
    return min(gpus, cores // _cpus_a_gpu(spark)) if cores else gpus


def _slots(spark: SparkSession, on_gpus: bool, slots: int) -> str:
    what = "slot" if slots == 1 else "slots"
    cpus = _setting(spark, _CPUS) or "1"
    return f"{what} of 1 GPU" if on_gpus else f"{what} ({_CPUS}={cpus})"


def _shared(spark: SparkSession, given: str | None) -> Path:
    """The folder in which ranks meet. On one machine it needs not be named."""
    if given is None and _is_local(spark):
        return cache_folder("trainings")
    if given is None:
        raise SetupError(
            "Checkpoints need a folder that the driver and all executors share.",
            hint='Name one: checkpoints="/mnt/shared/trainings" (a network file system).',
        )
    return _writable(spark, given)


def _writable(spark: SparkSession, given: str) -> Path:
    if not isinstance(given, str) or not given.strip():
        raise SetupError(f"checkpoints={given!r} is not the path of a folder.")
    url = urlsplit(given)
    if url.scheme not in ("", "file"):
        raise SetupError(
            f"checkpoints={given!r} is not a folder of a file system.",
            hint="Ranks write it as files: mount the store, or name a network file system that all executors share.",
        )
    folder = Path(unquote(url.path) if url.scheme else given)
    if not folder.is_absolute():
        raise SetupError(
            f"checkpoints={given!r} is relative: each executor would take it for another folder."
        )
    check_folders(spark, checkpoints=str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SetupError(
            f"checkpoints={given!r} cannot be written: {error.strerror}.",
            hint="Name a folder that this user may write, and all executors see.",
        ) from None
    return folder
