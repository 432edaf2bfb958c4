"""Which GPU a task computes on, by the name that stays with it.

In: the address that Spark gave the task, or nothing. Out: a UUID. No library that would touch the GPU is loaded.
"""

import os
import subprocess
from functools import lru_cache


def gpu_uuid(address: str = "") -> str | None:
    """The UUID of the GPU with this number; of the first visible one where no number is given. None where there is
    none, or no driver that tells of it."""
    if not address:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None:
            address = visible.partition(",")[0].strip()
            if address in ("", "-1"):
                return None
    found = _gpus()
    if address:
        return found.get(address, address if address in found.values() else None)
    return next(iter(found.values()), None)


@lru_cache(maxsize=1)
def _gpus() -> dict[str, str]:
    """UUIDs by number, as NVIDIA's driver tells them."""
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return parse_gpus(told)


def parse_gpus(told: str) -> dict[str, str]:
    """Lines of "0, GPU-5f3e..." to UUIDs by number."""
    pairs = (line.split(",", 1) for line in told.splitlines() if "," in line)
    return {number.strip(): uuid.strip() for number, uuid in pairs}
