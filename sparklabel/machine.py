"""What this machine has: Python, Java, memory, disk, CPU features, processes.

In: nothing but the machine. Out: plain values, and one line for each thing that is missing, with the fix. The file
imports the standard library only and also runs as a script (`python -P sparklabel/machine.py FOLDER`), because `make`
runs it before anything is installed. It does not look at installed packages: `sparklabel doctor` does.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

MIN_JAVA = 17
MIN_MEMORY = 6 * 2**30
"""Bytes: Spark's JVM, the embedded model and its fine-tuning on one machine."""
MIN_DISK = 8 * 2**30
"""Bytes: the environment takes 6 GiB (torch and its CUDA libraries are most of it), and uv's cache 1.5 more."""

JAVA_FIX = (
    "install one (Debian, Ubuntu: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17) "
    "or point JAVA_HOME at it"
)


def java_command() -> str:
    """The `java` that Spark's scripts would start."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home, "bin", "java")) if home else "java"


def java_version() -> int | None:
    """Major version of the Java that Spark would start; None if none runs."""
    try:
        run = subprocess.run(
            [java_command(), "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_java_version(run.stderr + run.stdout)


def parse_java_version(banner: str) -> int | None:
    """`java -version`'s banner -> major version: `1.8.0_392` is 8, `17.0.15` is 17."""
    found = re.search(r'version "(?:1\.)?(\d+)', banner)
    return int(found.group(1)) if found else None


def java_problem(version: int | None) -> str:
    """One line on what is wrong with this Java, or an empty string."""
    if version is not None and version >= MIN_JAVA:
        return ""
    found = "none was found" if version is None else f"{java_command()} is Java {version}"
    return f"Java {MIN_JAVA} or newer is needed, and {found}: {JAVA_FIX}"


def process_start(pid: int) -> str:
    """When a living process began, in the system's own unit: a number is given to another process later. Compare it for
    equality only. Empty if no such process lives; one that has ended and was not waited for does not live."""
    import psutil  # not at the top: `make` runs this file before anything is installed

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        began = process.create_time()
    except psutil.Error:
        return ""
    if not psutil.LINUX:
        return f"{began:.6f}"
    # In clock ticks since boot, as the kernel counts: leases in tables hold that, and seconds since the epoch move when
    # the system's clock is set.
    return str(round((began - psutil.boot_time()) * os.sysconf("SC_CLK_TCK")))


def host_id() -> str:
    """Equal for two processes to which a process number means the same: the host's name, its boot, and the container's
    numbering of processes, as far as the system has them."""
    parts = [platform.node()]
    for read in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        lambda: os.readlink("/proc/self/ns/pid"),
    ):
        with suppress(OSError):
            parts.append(read())
    return "/".join(parts)


def memory_bytes() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's limit if that is smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *_container_limits()])


def _container_limits() -> list[int]:
    files = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    texts = (Path(file).read_text().strip() for file in files if os.access(file, os.R_OK))
    return [int(text) for text in texts if text.isdigit()]


def cores() -> int:
    """Cores that this process may use: its affinity if the system has that, otherwise the machine's count."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_flags() -> frozenset[str] | None:
    """Linux's names for what the CPU can do (`avx512_bf16`, `amx_bf16`); None on other systems."""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", _cpu_info(), re.MULTILINE)
    return frozenset(found.group(1).split()) if found else None


def bfloat16_unit() -> str:
    """By what the CPU is faster in bfloat16 than in float32: "AMX", "AVX-512", or nothing. With AVX-512 alone Intel's
    take 1.4 to 1.7 times as long (benchmarks/LOG.md)."""
    flags = cpu_flags() or frozenset()
    if "amx_bf16" in flags:
        return "AMX"
    return "AVX-512" if "avx512_bf16" in flags and "GenuineIntel" not in _cpu_info() else ""


def _cpu_info() -> str:
    info = Path("/proc/cpuinfo")
    return info.read_text() if info.exists() else ""


def missing(folder: Path) -> list[str]:
    """One line for each thing that an installation into `folder` lacks."""
    lines = [java_problem(java_version())]
    if (memory := memory_bytes()) < MIN_MEMORY:
        lines.append(
            f"{_gib(MIN_MEMORY)} of memory are needed, and there are {_gib(memory)}: use a larger machine"
        )
    if (free := shutil.disk_usage(folder).free) < MIN_DISK:
        lines.append(
            f"{_gib(MIN_DISK)} of disk are needed, and {folder} has {_gib(free)} free: free some, or use another folder"
        )
    return [line for line in lines if line]


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


if __name__ == "__main__":
    problems = missing(Path(sys.argv[1]))
    for problem in problems:
        print(f"sparklabel: {problem}", file=sys.stderr)
    sys.exit(2 if problems else 0)
