"""Hashes of files and folders, which identify models and code.

In: paths. Out: SHA-256 in hexadecimal. A process reads a file again only if the file has changed; large files are read
once a host by the functions of `sparklabel.host_hashes`.
"""

import hashlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path


def tree_sha256(folder: Path) -> str:
    """The hash of all files in a folder: their names and contents, in the order of their names."""
    return files_sha256(folder, folder.rglob("*"))


def files_sha256(folder: Path, paths: Iterable[Path], of: "Callable[[Path], str] | None" = None) -> str:
    """As `tree_sha256`, for these files of the folder only. `of` gives the hash of one file: by default
    `file_sha256`."""
    of = of or file_sha256
    digest = hashlib.sha256()
    for path in sorted(p for p in paths if p.is_file()):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{of(path)}\n".encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """The hash of one file's content."""
    return _hash_file(str(path), file_state(path))


def file_state(path: Path) -> tuple[int, ...]:
    """What is different once a file has changed: its number, size, and the times (ns) of its content and of its entry.
    The latter cannot be set back by whoever writes the file."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@lru_cache(maxsize=256)
def _hash_file(path: str, state: tuple[int, ...]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
