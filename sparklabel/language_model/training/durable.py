"""What must be on the disk before a marker says that it is."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """On the disk, when this returns: a marker must not survive a power cut that what it marks does not."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
