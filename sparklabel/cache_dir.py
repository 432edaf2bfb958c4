"""The cache folder of this host, and folders in it that are built once.

In: the environment, and functions that build a folder. Out: paths. What is kept there is decided elsewhere.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir


def cache_dir() -> Path:
    """Where this host keeps models and jars; SPARKLABEL_CACHE overrides it."""
    return Path(os.environ.get("SPARKLABEL_CACHE") or user_cache_dir("sparklabel")).absolute()


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """`folder`, built by the first process that needs it while others wait. No process ever sees it half built."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                build(partial)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder
