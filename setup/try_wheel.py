"""Tries the wheel in a clean environment: `.venv/bin/python setup/try_wheel.py dist/sparklabel-VERSION.whl`.

The environment gets the wheel, the packages that it declares, and what these declare, but no other: whatever the wheel
leaves out or does not declare is missing there. The packages are hard links to the files of `.venv`, which `make setup`
installed from the lock, so nothing is downloaded and no index is asked. The trial itself runs away from the checkout.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_TRIAL = """
import sparklabel as sl

for name in sl.__all__:
    getattr(sl, name)
task = sl.classification("intent", "text", ["new card", "refund"])
spark = sl.spark_session({"spark.sql.warehouse.dir": "warehouse"})
rows = spark.createDataFrame([(1, "I want a refund."), (2, " ")], "id INT, text STRING")
rows.write.format("delta").save("tickets")
tickets = spark.read.format("delta").load("tickets")
found = tickets.select("id", sl.label_udf(task, engine="fake")("text").alias("label")).orderBy("id").collect()
assert [row.label.value for row in found] == ["refund", None], found
assert [row.label.status for row in found] == ["ok", "empty_input"], found
print(sl.__version__, sl.__file__)
spark.stop()
"""


def main(wheel: Path) -> None:
    with tempfile.TemporaryDirectory() as away:
        # Hard links need the file system of `.venv`.
        room = Path("build/try-wheel").resolve()
        shutil.rmtree(room, ignore_errors=True)
        try:
            python = make_environment(room, wheel.resolve())
            try_wheel(python, Path(away))
        finally:
            shutil.rmtree(room, ignore_errors=True)
    print(f"{wheel.name} works in a clean environment")


def make_environment(room: Path, wheel: Path) -> Path:
    """A virtual environment in `room` with the wheel and what it declares. Returns its Python."""
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(room)], check=True)
    python = room / "bin" / "python"
    packages = room / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for needed in declared(wheel):
        link(needed, packages)
    install = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel)]
    subprocess.run(install, check=True)
    return python


def declared(wheel: Path) -> Iterator[Distribution]:
    """Every distribution that the wheel needs, directly or not, as it is installed here. The wheel's extras are not."""
    with zipfile.ZipFile(wheel) as files:
        name = next(name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(files.read(name).decode())
    open_requirements = [(text, "") for text in metadata.get_all("Requires-Dist", ())]
    seen: set[tuple[str, str]] = set()
    linked: set[str] = set()
    while open_requirements:
        text, extra = open_requirements.pop()
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        key = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (key, wanted) not in seen:
                seen.add((key, wanted))
                open_requirements += [(more, wanted) for more in distribution(key).requires or ()]
        if key not in linked:
            linked.add(key)
            yield distribution(key)


def link(needed: Distribution, packages: Path) -> None:
    """Hard links of a distribution's files. Scripts outside its folder (`../../bin`) are left out."""
    root = Path(str(needed.locate_file(""))).resolve()
    for file in needed.files or ():
        source = root / str(file)
        if ".." in file.parts or source.suffix == ".pyc" or not source.exists():
            continue
        target = packages / str(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            os.link(source, target)


def try_wheel(python: Path, away: Path) -> None:
    """Imports every public name, labels two rows on a local Spark, and asks the command line, in the folder `away`.
    Ends the process with the output of what failed."""
    kept = ("HOME", "JAVA_HOME", "SPARKLABEL_CACHE", "SPARKLABEL_JARS", "XDG_CACHE_HOME", "TMPDIR", "LANG")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment["PATH"] = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    command = str(python.parent / "sparklabel")
    for trial in ([str(python), "-c", _TRIAL], [command, "--help"], [command, "doctor"]):
        done = subprocess.run(trial, cwd=away, env=environment, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(
                f"{done.stdout}\nThe wheel does not work: {' '.join(trial[:2])} ended with {done.returncode}"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
