"""Where the process that serves a model lives on this host: a folder that nobody else can enter.

In: what is served, and on which device. Out: the paths, and whether somebody lives there. A GPU has one place, so that
one model at a time is on it; without a GPU each model has its own.
"""

import fcntl
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
        """Equal keys, equal answers: by the same code, too."""
        told = (str(self.engine), self.model, self.device, sys.prefix, _code())
        return sha256(repr(told).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.model} under {self.engine}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The folder of one device or model, and the key of what is asked for there. `lock` is held while a process is
    looked for or started, `alive` by the process as long as it lives."""

    folder: Path
    key: str = ""

    @classmethod
    def of(cls, served: ServingSpec, home: Path | None = None) -> "Endpoint":
        """Makes the folder where it is missing. Raises SetupError where it is another user's."""
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
        """Named by the key: who asks for one model can never reach the process of another."""
        return self.folder / f"s{self.key[:8]}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def resident(self) -> "Endpoint":
        """The same, asked for what the last process here serves."""
        return Endpoint(self.folder, self.facts().get("key", ""))

    def facts(self) -> dict[str, Any]:
        """What the process said of itself: `key`, `served` (in words), `pid`, `born`, whether it is `loading`; nothing
        where none ever did."""
        try:
            return dict(json.loads((self.folder / "facts.json").read_text("utf-8")))
        except (OSError, ValueError):
            return {}

    def say(self, **facts: Any) -> None:
        """Of this process."""
        pid = os.getpid()
        written = self.folder / f"facts.{pid}"
        written.write_text(
            json.dumps({"key": self.key, "pid": pid, "born": process_start(pid)} | facts), "utf-8"
        )
        written.replace(self.folder / "facts.json")

    def take(self) -> IO[bytes] | None:
        """Takes the place for this process, until the file is closed or the process ends. None where it is taken."""
        file = open(self.folder / "alive", "ab")  # noqa: SIM115 held as long as the process lives
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file

    @property
    def taken(self) -> bool:
        held = self.take()
        if held is None:
            return True
        held.close()
        return False

    def kill(self) -> None:
        """Ends the process that lives here, at once."""
        pid, born = (self.facts().get(name) for name in ("pid", "born"))
        if pid and self.taken and born == process_start(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def tidy(self) -> None:
        """Takes away the sockets that processes left which were killed."""
        for socket in self.folder.glob("s????????"):
            socket.unlink(missing_ok=True)

    def peers(self) -> Iterator["Endpoint"]:
        """The other places of this user on this host."""
        return (Endpoint(folder).resident for folder in self.folder.parent.iterdir() if folder != self.folder)


def device_endpoint(device: str, home: Path | None = None) -> Endpoint | None:
    """That of a GPU, asked for what is served there. None where nothing of this user ever was."""
    home = home or _home()
    return Endpoint(home / device).resident if _is_private(home) and _is_private(home / device) else None


@lru_cache(maxsize=1)
def _code() -> str:
    """The hash of this package, a folder, or in a zip that came with --py-files."""
    package = Path(__file__).parents[2]
    if package.is_dir():
        return files_sha256(package, package.rglob("*.py"))
    return next((file_sha256(path) for path in package.parents if path.is_file()), "")


def _home() -> Path:
    return Path(tempfile.gettempdir()) / f"sparklabel-{os.getuid()}"


def _private(folder: Path) -> Path:
    """The folder, which only this user may enter: a name in a folder for all may have been taken by another."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_private(folder):
        raise SetupError(
            f"The folder {folder} is not this user's alone.",
            hint="Remove it, or set TMPDIR to a folder of your own, on every executor.",
        )
    return folder


def _is_private(folder: Path) -> bool:
    """Whatever is read from a folder, and whoever answers on a socket in it, is trusted if nobody else could put it
    there."""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
