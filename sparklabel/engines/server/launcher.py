"""Finds the process that serves a model, or starts it.

In: what is to be served. Out: an engine that calls that process. One task of a host looks or starts at a time, the
others wait. If another model holds the GPU, its server is asked to shut down; it does so once it is idle. If it stays
busy, EngineError names its model.
"""

import os
import pickle
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from sparklabel.engines.server.client import SILENCE, Connections, ServedEngine, answers
from sparklabel.engines.server.endpoint import CPU, Endpoint, ServingSpec, device_endpoint
from sparklabel.engines.server.liveness import owner_pid
from sparklabel.engines.server.server import IDLE_SECONDS, Start
from sparklabel.errors import EngineDied, EngineError, SparklabelError
from sparklabel.locks import held
from sparklabel.redaction import shortened

PATIENCE = 10.0
"""Seconds within which a process responds even while it computes, and ends after it was asked to."""
SETTLED = 20.0
"""Seconds without a request after which a process may be ended for another model. Between two batches, and while a
chunk is committed, there are no requests either."""
_WAITS = 3
"""How many times as long to wait for another model."""
_LOAD_SECONDS = 3600.0
_TURN_SECONDS = 2 * _LOAD_SECONDS
"""How long one task may look for the process, wait for another model and load its own, while the others wait."""
_PROGRAM = "import os\nif os.fork(): os._exit(0)\nfrom sparklabel.engines.server.server import main\nmain()"
"""Forks before anything is imported, so that the process has no parent that would have to wait for its end."""


def connect(
    served: ServingSpec,
    adapter: Path | None = None,
    *,
    home: Path | None = None,
    owner: int | None = None,
    idle_seconds: float = IDLE_SECONDS,
    patience: float = PATIENCE,
    settled: float = SETTLED,
    silence: float = SILENCE,
) -> ServedEngine:
    """The engine, in a process that lives at least as long as the executor that asks for it.

    Args:
        served: The model and its engine.
        adapter: The folder of fine-tuned weights to answer with.
        home: The folder of all endpoints; by default this user's own.
        owner: The process that the engine is kept for; by default this worker's executor.
        idle_seconds: The process ends after this many seconds without a request.
        patience: A process that does not respond for this many seconds is replaced.
        settled: A process that serves another model on the same GPU is replaced after this many seconds without a
            request.
        silence: A process that does not answer for this many seconds is probed, and counts as dead if it does not
            respond for as long again.

    Raises:
        EngineError: The other model stays in use, the process died while it loaded the model, or another task holds the
            endpoint for hours.
        SparklabelError: What loading the model raises.
    """
    endpoint = Endpoint.of(served, home)
    owner = owner_pid() if owner is None else owner
    connections = Connections(endpoint, silence)
    with held(endpoint.lock, f"starts {served}", patience=_TURN_SECONDS, error=EngineError):
        if not _join_running(endpoint, served, connections, owner, patience, settled):
            connections.close()
            _wait_or_kill(endpoint, patience)
            _reap(endpoint, patience)
            _start(Start(endpoint, served, owner, idle_seconds))
    return ServedEngine(connections, adapter)


def evict(device: str, *, home: Path | None = None, patience: float = PATIENCE) -> None:
    """Ends the process that serves a model on this GPU, so that another process can load one. Raises EngineError if it
    is busy."""
    endpoint = device_endpoint(device, home)
    if endpoint is None:
        return
    with held(endpoint.lock, "ends the engine", patience=_TURN_SECONDS, error=EngineError):
        if _lives(endpoint, patience) and not _leaves(endpoint, settled=0.0):
            raise EngineError(
                f"The device {device} is busy with {endpoint.facts().get('served')}.",
                hint="Wait until that pass has ended, or use another GPU (CUDA_VISIBLE_DEVICES).",
            )
        _wait_or_kill(endpoint, patience)


def _join_running(
    endpoint: Endpoint,
    served: ServingSpec,
    connections: Connections,
    owner: int,
    patience: float,
    settled: float,
) -> bool:
    """Whether a process already serves this; from now on it also works for `owner`. Raises EngineError if it serves
    another model and stays in use."""
    if not _lives(endpoint.resident, patience):
        return False
    if endpoint.resident == endpoint:
        try:
            connections.ask("register_client", owner)
        except EngineDied:  # it has just ended
            return False
        return True
    if not _leaves(endpoint.resident, settled):
        raise EngineError(
            f"The device {served.device} is busy with {endpoint.facts().get('served')}: no room for {served}.",
            hint="Wait until that pass has ended, or use another GPU.",
        )
    return False


def _leaves(endpoint: Endpoint, settled: float) -> bool:
    """Whether the process agrees to end, now or in a while."""
    connections, deadline = Connections(endpoint), time.monotonic() + _WAITS * settled
    try:
        while not connections.ask("shutdown_if_idle", settled):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.5)
    except EngineDied:
        pass
    finally:
        connections.close()
    return True


def _lives(endpoint: Endpoint, patience: float) -> bool:
    """Whether a process is there and responds. Waits for one that is still loading, even if its task was killed."""
    deadline = time.monotonic() + _LOAD_SECONDS
    while endpoint.is_occupied and endpoint.facts().get("loading") and time.monotonic() < deadline:
        time.sleep(0.1)
    return endpoint.is_occupied and answers(endpoint, patience)


def _wait_or_kill(endpoint: Endpoint, patience: float) -> None:
    """Waits until the process has ended, and kills it if it does not."""
    if _has_ended(endpoint, patience):
        return
    endpoint.kill()
    if not _has_ended(endpoint, patience):
        raise EngineError(
            f"The process in {endpoint.folder} does not end.", hint="Kill it: facts.json has its process id."
        )


def _has_ended(endpoint: Endpoint, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while endpoint.is_occupied:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _reap(endpoint: Endpoint, patience: float) -> None:
    """Kills processes of this user that hang, and removes the sockets of dead ones."""
    for other in endpoint.peers():
        with suppress(EngineError, OSError), held(other.lock, "tidies up", patience=0.0, error=EngineError):
            if other.is_occupied and not other.facts().get("loading") and not answers(other, patience):
                other.kill()
            if not other.is_occupied:
                other.remove_sockets()


def _start(start: Start) -> None:
    """Returns once the process responds. Raises the error that it reports instead."""
    with suppress(FileNotFoundError):  # the previous process's log may say why this one is needed
        start.endpoint.log.replace(start.endpoint.log.with_name("log.1"))
    with open(start.endpoint.log, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            start_new_session=True, cwd=start.endpoint.folder, env=_environment(start.served),
        )  # fmt: skip
    try:
        reported, _ = process.communicate(pickle.dumps(start), timeout=_LOAD_SECONDS)
    except subprocess.TimeoutExpired:
        start.endpoint.kill()
        raise EngineError(
            f"{start.served} did not load within {_LOAD_SECONDS / 60:g} minutes.",
            hint=f"Its log is {start.endpoint.log}.",
        ) from None
    if reported:
        error: SparklabelError = pickle.loads(reported)
        raise error
    if not start.endpoint.socket.exists():
        raise EngineError(
            f"The engine's process died while it loaded {start.served}: {_last_line(start.endpoint.log)}",
            hint=f"Its log is {start.endpoint.log}.",
        )


def _environment(served: ServingSpec) -> dict[str, str]:
    """This process's environment without what Spark sets for workers of one thread."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    # Files that came with --py-files are only on this process's path.
    kept["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    return kept if served.device == CPU else kept | {"CUDA_VISIBLE_DEVICES": served.device}


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return shortened(lines[-1], 500) if lines else "its log is empty"
