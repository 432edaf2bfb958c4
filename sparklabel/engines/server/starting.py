"""Finds the process that serves a model, or starts it.

In: what is to be served. Out: an engine that asks it. One task of a host looks or starts at a time, the others wait. A
process of another model on the same GPU is asked to leave; if it computes, it stays, and the error says so.
"""

import os
import pickle
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sparklabel.engines.server.client import Connections, ServedEngine
from sparklabel.engines.server.owners import owner_pid
from sparklabel.engines.server.place import CPU, Place, Served
from sparklabel.engines.server.process import IDLE_SECONDS, Start
from sparklabel.errors import EngineDied, EngineError, SparklabelError

PATIENCE = 10.0
"""Seconds within which a process answers, however much it computes, and ends when it was asked to."""
_PROGRAM = "import os\nif os.fork(): os._exit(0)\nfrom sparklabel.engines.server.process import main\nmain()"
"""Forked before anything is imported, so that it is nobody's child: what started it need not wait for its end."""


def connect(
    served: Served,
    adapter: Path | None = None,
    *,
    home: Path | None = None,
    owner: int | None = None,
    idle_seconds: float = IDLE_SECONDS,
    patience: float = PATIENCE,
) -> ServedEngine:
    """The engine, served by a process that lives at least as long as the executor (`owner`) that asks.

    `home` is the folder where such processes live, this user's own by default. A process that hangs for `patience`
    seconds is replaced. Raises what loading the model raises; EngineError where another model is at work on the GPU, or
    the process died while it loaded.
    """
    place = Place.of(served, home)
    owner = owner_pid() if owner is None else owner
    connections = Connections(place)
    with FileLock(place.lock):
        if not _welcome(place, served, connections, owner, patience):
            connections.close()
            _make_room(place, patience)
            _reap(place, patience)
            _start(Start(place, served, owner, idle_seconds))
    return ServedEngine(connections, adapter)


def _welcome(place: Place, served: Served, connections: Connections, owner: int, patience: float) -> bool:
    """Whether a process serves this already; it works for `owner` too from now on. Raises EngineError where it serves
    another model and is at work."""
    if not (place.inhabited and _answers(place, patience)):
        return False
    if place.facts().get("key") == served.key:
        try:
            connections.ask("work_for", owner)
        except EngineDied:  # it was about to end
            return False
        return True
    if not _leaves(connections):
        raise EngineError(
            f"The device {served.device} computes with {place.facts().get('served')}: no room for {served}.",
            hint="Wait until that pass has ended, or use another GPU.",
        )
    return False


def _leaves(connections: Connections) -> bool:
    try:
        return bool(connections.ask("leave"))
    except EngineDied:
        return True


def _answers(place: Place, patience: float) -> bool:
    heard = threading.Event()

    def listen() -> None:
        probe = Connections(place)
        with suppress(EngineDied):
            probe.ask("status")
            heard.set()
        probe.close()

    probing = threading.Thread(target=listen, daemon=True)
    probing.start()
    probing.join(patience)
    return heard.is_set()


def _make_room(place: Place, patience: float) -> None:
    """Waits for the process that leaves; one that does not is killed."""
    for sign in (lambda: None, place.kill):
        sign()
        deadline = time.monotonic() + patience
        while place.inhabited:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return
    raise EngineError(
        f"The process in {place.folder} does not end.", hint="End it by hand; its number is in facts.json."
    )


def _reap(place: Place, patience: float) -> None:
    """Ends processes of this user that hang, and takes away what dead ones left."""
    for other in place.neighbours():
        with suppress(Timeout, OSError), FileLock(other.lock, timeout=0):
            if other.inhabited and not _answers(other, patience):
                other.kill()
            if not other.inhabited:
                other.socket.unlink(missing_ok=True)


def _start(start: Start) -> None:
    """Returns when the process answers. Raises what it says instead."""
    with open(start.place.log, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            start_new_session=True, cwd=start.place.folder, env=_environment(start.served),
        )  # fmt: skip
    told, _ = process.communicate(pickle.dumps(start))
    if told:
        error: SparklabelError = pickle.loads(told)
        raise error
    if not start.place.socket.exists():
        raise EngineError(
            f"The engine's process died while it loaded {start.served}: {_last_line(start.place.log)}",
            hint=f"Its log: {start.place.log}",
        )


def _environment(served: Served) -> dict[str, str]:
    """This process's, but for what Spark sets for a worker of one thread."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    # Files that came with --py-files are on this process's path only.
    kept["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    return kept if served.device == CPU else kept | {"CUDA_VISIBLE_DEVICES": served.device}


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"
