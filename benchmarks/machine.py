"""What a benchmark ran on: hardware, threads and versions, no host name.

In: nothing. Out: a dictionary for the figures and one paragraph for the reader. It measures nothing.
"""

import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sparklabel.machine import cores, cpu_flags, memory_bytes

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16")
_PACKAGES = ("torch", "transformers", "peft", "scikit-learn", "pyspark", "delta-spark", "mlflow")


def machine() -> dict[str, object]:
    """The machine as it is now, ready for JSON."""
    import torch

    flags = cpu_flags() or frozenset()
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "cpu_flags": [flag for flag in _FLAGS if flag in flags],
        "memory_gib": round(memory_bytes() / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {package: found for package in _PACKAGES if (found := _version(package))},
    }


def _version(package: str) -> str | None:
    """None where it is not installed: not every benchmark needs Spark."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cpu_model() -> str:
    """The CPU's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return found.group(1) if found else platform.processor() or platform.machine()


def paragraph() -> str:
    """The same in one paragraph."""
    found = machine()
    flags = ", ".join(map(str, found["cpu_flags"])) or "none of AVX2, AVX-512, AMX"  # type: ignore[call-overload]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())  # type: ignore[attr-defined]
    return (
        f"{found['cpu']}, {found['cores']} cores ({flags}), {found['memory_gib']} GiB, "
        f"{found['gpu'] or 'no GPU'}, {found['torch_threads']} torch threads, Python {found['python']}, {versions}."
    )
