"""Delta's two jars: found or fetched once, checked, and then started from as local files.

In: nothing. Out: their paths in the user cache. Spark itself fetches them (Ivy), so the user's repository settings hold
(`spark.jars.ivySettings`, `spark.jars.repositories`, DEFAULT_ARTIFACT_REPOSITORY, proxies) and no address is written
here. Starts no session.
"""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from sparklabel.cache_builds import scratch_folder
from sparklabel.cache_dir import cache_dir, cache_folder
from sparklabel.errors import SetupError
from sparklabel.locks import held
from sparklabel.machine import java_problem, java_version

DELTA = "4.4.0"
_SHA256 = {
    f"delta-spark_4.2_2.13-{DELTA}.jar": "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    f"delta-spark_4.1_2.13-{DELTA}.jar": "75a9400986853c061f5109f012547de2545a5759e5e752e5ef633dabe16a4f10",
    f"delta-storage-{DELTA}.jar": "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
}
# Delta's own requirements are in Spark already, or (kernel, Unity Catalog) not needed for its tables.
_NOT_NEEDED = "org.*:*,com.*:*,io.unitycatalog:*,io.delta:delta-kernel-*"
_FETCH_SECONDS = 600


def delta_jars() -> tuple[Path, Path]:
    """Delta's jars for the installed pyspark, checksums verified; fetched on first use (seconds).

    Looks first in the folder that SPARKLABEL_JARS names, in the user cache, and among what Ivy fetched for this user.

    Raises:
        SetupError: They cannot be fetched; says what was tried and where to put the files by hand.
    """
    names = _names()
    found = find_jars()
    if found is None:
        folder = cache_folder("jars")
        with held(folder / ".lock", "fetches Delta's jars"):
            if (found := find_jars()) is None:
                _fetch(names, folder)
                found = folder / names[0], folder / names[1]
    return found


def find_jars() -> tuple[Path, Path] | None:
    """The jars if this machine has them already; None if one is missing or damaged. Fetches nothing."""
    first, second = (next(filter(_intact, _places(name)), None) for name in _names())
    return (first, second) if first and second else None


def _names() -> tuple[str, str]:
    spark = ".".join(version("pyspark").split(".")[:2])
    name = f"delta-spark_{spark}_2.13-{DELTA}.jar"
    if name not in _SHA256:
        raise SetupError(
            f"There is no Delta {DELTA} for pyspark {version('pyspark')}.",
            hint="Install a pyspark that it has: pip install 'pyspark==4.2.0'",
        )
    return name, f"delta-storage-{DELTA}.jar"


def _places(name: str) -> Iterator[Path]:
    if by_hand := os.environ.get("SPARKLABEL_JARS"):
        yield Path(by_hand, name)
        yield Path(by_hand, f"io.delta_{name}")
    yield cache_dir() / "jars" / name
    for ivy in sorted(Path.home().glob(".ivy2*")):
        yield ivy / "jars" / f"io.delta_{name}"


def _intact(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == _SHA256[path.name.removeprefix("io.delta_")]


def _fetch(names: tuple[str, str], folder: Path) -> None:
    if problem := java_problem(java_version()):
        raise SetupError(problem)
    with scratch_folder(folder, "ivy") as ivy:
        said = resolve_packages([_coordinates(name) for name in names], _NOT_NEEDED, ivy)
        for name in names:
            fetched = ivy / "jars" / f"io.delta_{name}"
            if not _intact(fetched):
                raise SetupError(_complaint(fetched, said), hint=_by_hand(names, folder))
            os.replace(fetched, folder / name)


def resolve_packages(packages: Sequence[str], excluded: str, ivy: Path) -> str:
    """Makes Spark fetch packages, named as Spark names them, and what they need less what is `excluded`, into
    `ivy`/jars. Returns its output."""
    script = ivy / "nothing.py"
    script.write_text("")
    command = [
        str(_spark_home() / "bin" / "spark-submit"),
        *("--master", "local[1]"),
        *("--packages", ",".join(packages)),
        *("--exclude-packages", excluded),
        *("--conf", f"spark.jars.ivy={ivy}"),
        str(script),
    ]
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    environment = {"SPARK_LOCAL_IP": "127.0.0.1"} | os.environ | python | {"SPARK_HOME": str(_spark_home())}
    try:
        run = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=_FETCH_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_FETCH_SECONDS} seconds"
    return run.stdout + run.stderr


def _coordinates(name: str) -> str:
    artifact, _, number = name.removesuffix(".jar").rpartition("-")
    return f"io.delta:{artifact}:{number}"


def _spark_home() -> Path:
    """The Spark inside the installed pyspark, found without importing it."""
    package = find_spec("pyspark")
    home = Path(package.origin).parent if package and package.origin else Path()
    if not (home / "bin" / "spark-submit").is_file():
        raise SetupError(
            "The installed pyspark has no Spark in it.", hint="Run: pip install 'pyspark==4.2.0'"
        )
    return home


def _complaint(fetched: Path, said: str) -> str:
    if fetched.exists():
        expected = _SHA256[fetched.name.removeprefix("io.delta_")]
        return f"{fetched.name} was fetched, but its checksum is not the one expected ({expected})."
    # Of all that Ivy says, what helps is which repositories it asked, and what one of them answered.
    asked = dict.fromkeys(re.findall(r"(\w+://\S+?)/io/delta/", said))
    answers = re.findall(r"Server access error at url \S+ \((.+)\)", said) or said.strip().splitlines()[-1:]
    return f"Delta's jars could not be fetched ({''.join(answers[:1])}); asked: {', '.join(asked) or 'no repository'}."


def _by_hand(names: tuple[str, str], folder: Path) -> str:
    files = " and ".join(f"{name} (sha256 {_SHA256[name]})" for name in names)
    return (
        f"Behind a mirror, set DEFAULT_ARTIFACT_REPOSITORY to it, or spark.jars.ivySettings in Spark's "
        f"configuration. By hand: put {files} from {_coordinates(names[0])} and {_coordinates(names[1])} "
        f"into {folder}, or name their folder in SPARKLABEL_JARS."
    )
