"""Folders in the cache that are built once a host, and compared with what was built.

In: functions that build a folder. Out: paths. No process ever sees a folder half built.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sparklabel.cache_dir import check_private
from sparklabel.errors import ModelError
from sparklabel.hashing import tree_sha256
from sparklabel.host_hashes import host_tree_sha256
from sparklabel.locks import held


def build_once(
    folder: Path, build: Callable[[Path], None], waiting: Callable[[str], None] | None = None
) -> Path:
    """`folder`, built by the first process that needs it while others wait. No process ever sees it half built.

    Beside it is the hash of what was built, in a file `NAME.sha256`. A folder without one, which an older release left
    or somebody put there, is built again.

    Args:
        folder: A folder in one that `cache_folder` gave.
        build: Fills the folder that it is given.
        waiting: As for `held`: called while another process builds it, for what may take hours.

    Raises:
        ModelError: The folder is no longer what was built.
        SetupError: Others may write it, or another process has been building it for an hour.
    """
    recorded = folder.with_name(f"{folder.name}.sha256")
    if not _is_built(folder, recorded):
        with held(folder.with_name(f"{folder.name}.lock"), f"builds {folder.name}", waiting=waiting):
            if not _is_built(folder, recorded):
                _build(folder, recorded, build)
                return folder
    check_private(folder)
    if host_tree_sha256(folder) != recorded.read_text("utf-8").strip():
        raise ModelError(
            f"The folder {folder} in the cache was changed since it was built.",
            hint="Delete it: it is built again. If nobody touched it, the disk may be failing.",
        )
    return folder


def _is_built(folder: Path, recorded: Path) -> bool:
    return folder.is_dir() and recorded.is_file()


def _build(folder: Path, recorded: Path, build: Callable[[Path], None]) -> None:
    with scratch_folder(folder.parent, folder.name) as scratch:
        made, noted = scratch / "made", scratch / "sha256"
        made.mkdir(mode=0o700)
        build(made)
        made.chmod(0o700)  # what was copied into it may have brought its mode
        noted.write_text(f"{tree_sha256(made)}\n", "utf-8")
        recorded.unlink(missing_ok=True)
        if folder.is_symlink() or folder.exists():
            folder.rename(scratch / "before")
        made.rename(folder)
        noted.rename(recorded)


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """A folder to build in, which is gone afterwards. Those that killed processes left are removed first: call it under
    the lock of what is built."""
    left = re.compile(rf"\.{re.escape(name)}-[a-z0-9_]{{8}}")
    for folder in [path for path in parent.iterdir() if left.fullmatch(path.name)]:
        shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=parent, ignore_cleanup_errors=True) as scratch:
        yield Path(scratch)
