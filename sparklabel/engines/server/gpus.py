"""Which GPU a task computes on, by its UUID.

In: the address that Spark gave the task, or a number as torch counts. Out: a UUID. No library that uses the GPU is
loaded.
"""

import os
import subprocess
from functools import lru_cache


def gpu_uuid(address: str) -> str | None:
    """The UUID of the GPU with this address: its number among all GPUs of the host as the driver counts them, its UUID,
    or the beginning of that. A part of a GPU (MIG-...) has a name of its own. None if the driver does not know such a
    GPU."""
    if address.startswith("MIG-"):
        return address
    found = _gpus()
    begun = [uuid for uuid in found.values() if uuid.startswith(address)] if address else []
    return found.get(address) or (begun[0] if len(begun) == 1 else None)


def visible_gpu(number: int = 0) -> str | None:
    """The UUID of the GPU that torch gives this number, among those in CUDA_VISIBLE_DEVICES, in its order. None if
    there is no such GPU or no driver. Numbers are the driver's, as with CUDA_DEVICE_ORDER=PCI_BUS_ID; without that
    setting, CUDA orders GPUs of unequal speed differently."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = list(_gpus().values()) if visible is None else [name.strip() for name in visible.split(",")]
    # CUDA stops at the first name that is not a GPU: "" and "-1" hide all of them.
    if number >= len(names) or any(name in ("", "-1") for name in names[: number + 1]):
        return None
    return gpu_uuid(names[number])


@lru_cache(maxsize=1)
def _gpus() -> dict[str, str]:
    """UUIDs by number, from NVIDIA's driver."""
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
