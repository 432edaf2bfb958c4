"""The cache folder of this host, and folders in it that are built once.

In: the environment, and functions that build a folder. Out: paths. What is kept there is decided elsewhere. Models are
loaded from there, so nobody but this user and root may write it; what was built is compared with its hash.
"""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

from sparklabel.errors import ModelError, SetupError
from sparklabel.hashing import tree_sha256

TRUST = "SPARKLABEL_TRUST_CACHE"
"""The variable that says, with the value 1, that whoever can write the cache is trusted."""


def cache_dir() -> Path:
    """Where this host keeps models and jars; SPARKLABEL_CACHE overrides it."""
    return Path(os.environ.get("SPARKLABEL_CACHE") or user_cache_dir("sparklabel")).absolute()


def cache_folder(name: str) -> Path:
    """A folder in the cache, created if it is missing so that only this user may enter it.

    Raises SetupError: others may write it or the cache, or it cannot be created.
    """
    root = cache_dir()
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        for folder in (root, root / name):
            folder.mkdir(mode=0o700, exist_ok=True)
            check_private(folder)
    except OSError as error:
        raise SetupError(
            f"The cache folder {root / name} cannot be created: {error}",
            hint="Name another one in SPARKLABEL_CACHE.",
        ) from None
    return root / name


def check_private(folder: Path) -> None:
    """Raises SetupError for a folder that others than this user and root may write: they choose what is loaded."""
    if os.environ.get(TRUST) == "1":
        return
    if problem := writers(folder.stat(), os.getuid()):
        raise SetupError(
            f"The folder {folder} in the cache {problem}, so others choose what is loaded from it.",
            hint=f"If nobody else wrote there yet: chmod go-w {folder}. Or name a folder of your own in "
            f"SPARKLABEL_CACHE; in a mounted volume, a folder inside it. If you trust all who can write it: {TRUST}=1.",
        )


def writers(status: os.stat_result, user: int) -> str:
    """Who else than `user` and root may write a folder, in words; empty if nobody may."""
    if status.st_uid not in (user, 0):
        return f"belongs to the user {status.st_uid}"
    may = [
        who for who, bit in (("its group", stat.S_IWGRP), ("all users", stat.S_IWOTH)) if status.st_mode & bit
    ]
    return f"can be written by {' and '.join(may)}" if may else ""


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """`folder`, built by the first process that needs it while others wait. No process ever sees it half built.

    Beside it is the hash of what was built, in a file `NAME.sha256`. A folder without one, which an older release left
    or somebody put there, is built again.

    Args:
        folder: A folder in one that `cache_folder` gave.
        build: Fills the folder that it is given.

    Raises:
        ModelError: The folder is no longer what was built.
        SetupError: Others may write it.
    """
    recorded = folder.with_name(f"{folder.name}.sha256")
    if not _is_built(folder, recorded):
        with FileLock(f"{folder}.lock"):
            if not _is_built(folder, recorded):
                _build(folder, recorded, build)
                return folder
    check_private(folder)
    if tree_sha256(folder) != recorded.read_text("utf-8").strip():
        raise ModelError(
            f"The folder {folder} in the cache was changed since it was built.",
            hint="Delete it: it is built again. If nobody touched it, the disk may be failing.",
        )
    return folder


def _is_built(folder: Path, recorded: Path) -> bool:
    return folder.is_dir() and recorded.is_file()


def _build(folder: Path, recorded: Path, build: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True
    ) as scratch:
        made, noted = Path(scratch, "made"), Path(scratch, "sha256")
        made.mkdir(mode=0o700)
        build(made)
        made.chmod(0o700)  # what was copied into it may have brought its mode
        noted.write_text(f"{tree_sha256(made)}\n", "utf-8")
        recorded.unlink(missing_ok=True)
        if folder.is_symlink() or folder.exists():
            folder.rename(Path(scratch, "before"))
        made.rename(folder)
        noted.rename(recorded)
