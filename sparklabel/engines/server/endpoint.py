"""Where the process that serves a model is found on this host: a folder that only its user can enter.

In: what is served, and on which device. Out: paths, and whether a process is there. A GPU has one endpoint, so that it
holds one model at a time; without a GPU each model has its own.
"""

import fcntl
import hashlib
import json
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from sparklabel.engines.registry import EngineSpec
from sparklabel.errors import SetupError
from sparklabel.hashing import file_sha256, files_sha256
from sparklabel.machine import process_start

CPU = "cpu"
_LONGEST_ADDRESS = 100
"""Bytes; the kernel's limit for the address of a socket is 108 on Linux, 104 on macOS."""


@dataclass(frozen=True, slots=True)
class ServingSpec:
    """A base model under an engine: what one process serves. `model` is its identity, `base` its folder on this host
    (None for engines without files), `device` a GPU's UUID or "cpu". Adapters are named by each request."""

    engine: EngineSpec
    model: str
    base: Path | None
    device: str = CPU

    @property
    def key(self) -> str:
        """Equal keys mean equal answers, computed by the same code."""
        engine = (self.engine.name, self.engine.options)
        content = (engine, self.model, self.device, sys.prefix, _code())
        return sha256(repr(content).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.model} under {self.engine}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The folder of one device or model, and the key of what is wanted there. The file `lock` is held while a process
    is looked for or started; the file `alive` is held by the process as long as it lives."""

    folder: Path
    key: str = ""

    @classmethod
    def of(cls, served: ServingSpec, home: Path | None = None) -> "Endpoint":
        """Creates the folder if it is missing. Raises SetupError if it belongs to another user."""
        name = f"{CPU}-{served.key}" if served.device == CPU else served.device
        endpoint = cls(_private(_private(home or _home()) / name), served.key)
        if len(os.fsencode(endpoint.socket)) > _LONGEST_ADDRESS:
            raise SetupError(
                f"The path {endpoint.socket} is too long for a socket.", hint="Set TMPDIR to a shorter one."
            )
        return endpoint

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def socket(self) -> Path:
        """Named by the key, so that a request for one model can never reach the process of another."""
        return self.folder / f"s{self.key[:8]}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def resident(self) -> "Endpoint":
        """This folder with the key of what its last process serves."""
        return Endpoint(self.folder, self.facts().get("key", ""))

    def facts(self) -> dict[str, Any]:
        """What the process published: `key`, `served` (in words), `pid`, `born`, and whether it is `loading`. Empty if
        none ever did."""
        try:
            return dict(json.loads((self.folder / "facts.json").read_text("utf-8")))
        except (OSError, ValueError):
            return {}

    def publish(self, **facts: Any) -> None:
        """Publishes facts about this process, which serves here."""
        pid = os.getpid()
        written = self.folder / f"facts.{pid}"
        written.write_text(
            json.dumps({"key": self.key, "pid": pid, "born": process_start(pid)} | facts), "utf-8"
        )
        written.replace(self.folder / "facts.json")

    def occupy(self) -> IO[bytes] | None:
        """Occupies the endpoint for this process, until the file is closed or the process ends. None if it is
        occupied."""
        file = open(self.folder / "alive", "ab")  # noqa: SIM115 held as long as the process lives
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file

    @property
    def is_occupied(self) -> bool:
        held = self.occupy()
        if held is None:
            return True
        held.close()
        return False

    def kill(self) -> None:
        """Kills the process that serves here."""
        pid, born = (self.facts().get(name) for name in ("pid", "born"))
        if pid and self.is_occupied and born == process_start(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove_sockets(self) -> None:
        """Removes sockets of processes that were killed."""
        for socket in self.folder.glob("s????????"):
            socket.unlink(missing_ok=True)

    def peers(self) -> Iterator["Endpoint"]:
        """The other endpoints of this user on this host."""
        return (Endpoint(folder).resident for folder in self.folder.parent.iterdir() if folder != self.folder)


def device_endpoint(device: str, home: Path | None = None) -> Endpoint | None:
    """The endpoint of a GPU, with the key of what is served there. None if this user never served anything on it."""
    home = home or _home()
    return Endpoint(home / device).resident if _is_private(home) and _is_private(home / device) else None


def isolation_lock(model: str) -> Path:
    """The file that the one task holds which looks for the row that kills the engine of this model: meanwhile no other
    task may send the suspects that it has."""
    name = hashlib.sha256(model.encode()).hexdigest()[:16]
    return _private(_home()) / f"isolating-{name}"


@lru_cache(maxsize=1)
def _code() -> str:
    """The hash of this package, which is a folder, or inside a zip that came with --py-files."""
    package = Path(__file__).parents[2]
    if package.is_dir():
        return files_sha256(package, package.rglob("*.py"))
    return next((file_sha256(path) for path in package.parents if path.is_file()), "")


def _home() -> Path:
    return Path(tempfile.gettempdir()) / f"sparklabel-{os.getuid()}"


def _private(folder: Path) -> Path:
    """Creates the folder so that only this user may enter it. In a folder for all users, another one may own the
    name."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if problem := refusal(folder.lstat(), os.getuid()):
        raise SetupError(
            f"The folder {folder} {problem}.",
            hint="Remove it, or set TMPDIR to a folder of your own, on every executor.",
        )
    return folder


def _is_private(folder: Path) -> bool:
    try:
        return not refusal(folder.lstat(), os.getuid())
    except FileNotFoundError:
        return False


def refusal(status: os.stat_result, user: int) -> str:
    """Why what is at a folder's place is not trusted, in words; empty if only `user` can put files into it. Its files
    and sockets are trusted then. `status` must be that of the place itself, not of what a link leads to."""
    if not stat.S_ISDIR(status.st_mode):
        return "is not a folder"
    if status.st_uid != user:
        return "belongs to another user"
    return "is open to other users" if status.st_mode & 0o077 else ""
