"""The cache folder of this host.

In: the environment. Out: paths. What is kept there is decided elsewhere. Models are loaded from there, so nobody but
this user and root may write it.
"""

import os
import stat
from pathlib import Path

from platformdirs import user_cache_dir

from sparklabel.errors import SetupError

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
