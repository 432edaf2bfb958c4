"""Finds the process that serves a model, or starts it.

In: what is to be served. Out: an engine that asks it. One task of a host looks or starts at a time, the others wait. A
process of another model on the same GPU is asked to leave, and leaves when nobody asked it anything for a while; where
that does not come, the error says what it serves.
"""

import os
import pickle
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sparklabel.engines.server.client import SILENCE, Connections, ServedEngine, answers
from sparklabel.engines.server.endpoint import CPU, Endpoint, ServingSpec, device_endpoint
from sparklabel.engines.server.liveness import owner_pid
from sparklabel.engines.server.server import IDLE_SECONDS, Start
from sparklabel.errors import EngineDied, EngineError, SparklabelError

PATIENCE = 10.0
"""Seconds within which a process answers, however much it computes, and ends when it was asked to."""
SETTLED = 20.0
"""Seconds without a request after which a process may be ended for another model: between two batches, or while a chunk
is committed, nobody asks either."""
_WAITS = 3
"""How many times as long an other model is waited for."""
_LOAD_SECONDS = 3600.0
_PROGRAM = "import os\nif os.fork(): os._exit(0)\nfrom sparklabel.engines.server.server import main\nmain()"
"""Forked before anything is imported, so that it is nobody's child: what started it need not wait for its end."""


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
    """The engine, served by a process that lives at least as long as the executor (`owner`) that asks.

    `home` is the folder where such processes live, this user's own by default. A process that hangs for `patience`
    seconds is replaced, and one that serves another model on the same GPU once nobody asked it for `settled` seconds.
    One that hangs later, for `silence` seconds and as long again, is dead to who waits for its answer.
    Raises what loading the model raises; EngineError where the other model stays in use, or the process died while it
    loaded.
    """
    endpoint = Endpoint.of(served, home)
    owner = owner_pid() if owner is None else owner
    connections = Connections(endpoint, silence)
    with FileLock(endpoint.lock):
        if not _welcome(endpoint, served, connections, owner, patience, settled):
            connections.close()
            _make_room(endpoint, patience)
            _reap(endpoint, patience)
            _start(Start(endpoint, served, owner, idle_seconds))
    return ServedEngine(connections, adapter)


def evict(device: str, *, home: Path | None = None, patience: float = PATIENCE) -> None:
    """Ends the process that serves a model on this GPU, for a model that is to be loaded in another. Raises EngineError
    where it computes."""
    endpoint = device_endpoint(device, home)
    if endpoint is None:
        return
    with FileLock(endpoint.lock):
        if _lives(endpoint, patience) and not _leaves(endpoint, settled=0.0):
            raise EngineError(
                f"The device {device} computes with {endpoint.facts().get('served')}.",
                hint="Wait until that pass has ended, or use another GPU (CUDA_VISIBLE_DEVICES).",
            )
        _make_room(endpoint, patience)


def _welcome(
    endpoint: Endpoint,
    served: ServingSpec,
    connections: Connections,
    owner: int,
    patience: float,
    settled: float,
) -> bool:
    """Whether a process serves this already; it works for `owner` too from now on. Raises EngineError where it serves
    another model and stays in use."""
    if not _lives(endpoint.resident, patience):
        return False
    if endpoint.resident == endpoint:
        try:
            connections.ask("register_client", owner)
        except EngineDied:  # it was about to end
            return False
        return True
    if not _leaves(endpoint.resident, settled):
        raise EngineError(
            f"The device {served.device} computes with {endpoint.facts().get('served')}: no room for {served}.",
            hint="Wait until that pass has ended, or use another GPU.",
        )
    return False


def _leaves(endpoint: Endpoint, settled: float) -> bool:
    """Whether the process ends, now or in a while."""
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
    """Whether a process is there and answers. One that still loads, for a task that was killed maybe, is waited for."""
    deadline = time.monotonic() + _LOAD_SECONDS
    while endpoint.taken and endpoint.facts().get("loading") and time.monotonic() < deadline:
        time.sleep(0.1)
    return endpoint.taken and answers(endpoint, patience)


def _make_room(endpoint: Endpoint, patience: float) -> None:
    """Waits for the process that leaves; one that does not is killed."""
    for sign in (lambda: None, endpoint.kill):
        sign()
        deadline = time.monotonic() + patience
        while endpoint.taken:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return
    raise EngineError(
        f"The process in {endpoint.folder} does not end.", hint="End it by hand; its number is in facts.json."
    )


def _reap(endpoint: Endpoint, patience: float) -> None:
    """Ends processes of this user that hang, and takes away what dead ones left."""
    for other in endpoint.peers():
        with suppress(Timeout, OSError), FileLock(other.lock, timeout=0):
            if other.taken and not other.facts().get("loading") and not answers(other, patience):
                other.kill()
            if not other.taken:
                other.tidy()


def _start(start: Start) -> None:
    """Returns when the process answers. Raises what it says instead."""
    with suppress(FileNotFoundError):  # what the one before said may be why there is a next
        start.endpoint.log.replace(start.endpoint.log.with_name("log.1"))
    with open(start.endpoint.log, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            start_new_session=True, cwd=start.endpoint.folder, env=_environment(start.served),
        )  # fmt: skip
    try:
        told, _ = process.communicate(pickle.dumps(start), timeout=_LOAD_SECONDS)
    except subprocess.TimeoutExpired:
        start.endpoint.kill()
        raise EngineError(
            f"{start.served} did not load within {_LOAD_SECONDS / 60:g} minutes.",
            hint=f"Its log: {start.endpoint.log}",
        ) from None
    if told:
        error: SparklabelError = pickle.loads(told)
        raise error
    if not start.endpoint.socket.exists():
        raise EngineError(
            f"The engine's process died while it loaded {start.served}: {_last_line(start.endpoint.log)}",
            hint=f"Its log: {start.endpoint.log}",
        )


def _environment(served: ServingSpec) -> dict[str, str]:
    """This process's, but for what Spark sets for a worker of one thread."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    # Files that came with --py-files are on this process's path only.
    kept["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    return kept if served.device == CPU else kept | {"CUDA_VISIBLE_DEVICES": served.device}


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"
