"""Hashes of files and folders, which identify models and code.

In: paths. Out: SHA-256 in hexadecimal. A process reads a file again only if its size or time has changed.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path


def tree_sha256(folder: Path) -> str:
    """The hash of all files in a folder: their names and contents, in the order of their names."""
    return files_sha256(folder, folder.rglob("*"))


def files_sha256(folder: Path, paths: Iterable[Path]) -> str:
    """As `tree_sha256`, for these files of the folder only."""
    digest = hashlib.sha256()
    for path in sorted(p for p in paths if p.is_file()):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """The hash of one file's content."""
    status = path.stat()
    return _hash_file(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _hash_file(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
