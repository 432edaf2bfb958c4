"""What must be on the disk before a marker says that it is."""

import os
import uuid
from pathlib import Path


def sync(path: Path) -> None:
    """On the disk, when this returns: a marker must not survive a power cut that what it marks does not."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(file: Path, text: str) -> None:
    """Writes a file that nobody ever sees half written, also if another process writes the same."""
    partial = file.with_name(f".{file.name}-{uuid.uuid4().hex}")
    partial.write_text(text, "utf-8")
    sync(partial)
    partial.replace(file)
