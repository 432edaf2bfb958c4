"""Hashes of large files, computed once a host: many workers need a model's hash, and a model has many gigabytes.

In: paths. Out: SHA-256 in hexadecimal, the same as by `sparklabel.hashing`. What was computed is noted in the cache,
which only this user may write, with the state that the file had. A note counts only for a file in the same state.
"""

import json
import platform
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from sparklabel.cache_dir import cache_folder
from sparklabel.errors import SetupError
from sparklabel.hashing import file_sha256, file_state, files_sha256
from sparklabel.locks import held

_SMALL = 4 << 20
"""Bytes: to hash that takes a few milliseconds, as long as to look for a note."""
_SETTLED = 2.0
"""Seconds since a file's last change before it is noted: what changes it again within the same tick of the clock would
leave no trace."""


def host_tree_sha256(folder: Path) -> str:
    """As `tree_sha256`."""
    return host_files_sha256(folder, folder.rglob("*"))


def host_files_sha256(folder: Path, paths: Iterable[Path]) -> str:
    """As `files_sha256`."""
    return files_sha256(folder, paths, host_file_sha256)


def host_file_sha256(path: Path, *, small: int = _SMALL, settled: float = _SETTLED) -> str:
    """As `file_sha256`. Processes of a host that ask for the same file at once wait for the first one.

    Args:
        path: The file.
        small: The size (bytes) below which it is hashed without a note.
        settled: The age (seconds) of its last change from which on it is noted.
    """
    if path.stat().st_size < small:
        return file_sha256(path)
    try:
        notes = cache_folder("hashes")
    except SetupError:  # without a cache of our own every process hashes
        return file_sha256(path)
    note = notes / sha256(f"{platform.node()}\0{path.resolve()}".encode()).hexdigest()[:32]
    if known := _noted(note, path):
        return known
    try:
        with held(note.with_name(f"{note.name}.lock"), f"reads {path}"):
            return _noted(note, path) or _hashed(note, path, settled)
    except OSError:  # the cache can only be read
        return file_sha256(path)


def _noted(note: Path, path: Path) -> str | None:
    try:
        state, known = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    return str(known) if state == list(file_state(path)) else None


def _hashed(note: Path, path: Path, settled: float) -> str:
    before, began = file_state(path), time.time_ns()
    found = file_sha256(path)
    if file_state(path) == before and max(before[2:]) < began - settled * 1e9:
        written = note.with_name(f"{note.name}.new")
        written.write_text(json.dumps([before, found]), "utf-8")
        written.replace(note)
    return found
