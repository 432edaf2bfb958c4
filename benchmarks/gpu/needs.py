"""What the kit imports, checked before anything is imported; and the wheels that somebody brought.

In: a folder of wheels, or none. Out: the packages that are missing or too old, each with the line that brings it.
Standard library only, since this runs where nothing is installed yet.
"""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Need:
    """A distribution, the module that it brings, the oldest version that will do, and what it is needed for."""

    name: str
    module: str
    least: str
    why: str

    @property
    def missing(self) -> str:
        """What is wrong with it, in words; empty where nothing is."""
        if find_spec(self.module) is None:
            return "is not installed"
        try:
            found = version(self.name)
        except PackageNotFoundError:  # a folder on the path, without metadata
            return ""
        return f"is {found}, which is too old" if _numbers(found) < _numbers(self.least) else ""


NEEDS = (
    Need("torch", "torch", "2.7", "everything"),
    Need("transformers", "transformers", "5.0", "everything"),
    Need("peft", "peft", "0.18", "training"),
    Need("numpy", "numpy", "1.26", "everything"),
    Need("safetensors", "safetensors", "0.5", "model folders"),
    Need("llguidance", "llguidance", "1.7", "generation under a schema"),
    Need("pydantic", "pydantic", "2.10", "sparklabel's tasks, which its prompts import"),
    Need("pydantic-core", "pydantic_core", "2.27", "pydantic"),
    Need("annotated-types", "annotated_types", "0.6", "pydantic"),
    Need("typing-inspection", "typing_inspection", "0.4", "pydantic"),
    Need("pyyaml", "yaml", "6", "sparklabel's tasks"),
    Need("filelock", "filelock", "3.16", "the engine's process"),
    Need("platformdirs", "platformdirs", "4", "the cache folder"),
    Need("rich", "rich", "13", "benchmarks.generation, whose grammar processor is used"),
)
LLAMA_TOKENIZER = Need("llama-models", "llama_models", "0.3.0", "Llama-3's tokenizer")


def add_wheels(folder: Path, target: Path) -> None:
    """Unpacks the wheels of a folder into `target` and puts that on this process's path, and so on the paths of those
    that it starts. Nothing is fetched."""
    wheels = sorted(map(str, folder.glob("*.whl")))
    if not wheels:
        raise SystemExit(f"gpu kit: there are no wheels in {folder}")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    if subprocess.run([*pip, "--target", str(target), *wheels], check=False).returncode:
        raise SystemExit(f"gpu kit: pip could not unpack the wheels in {folder}")
    sys.path.insert(0, str(target))


def check(models: Iterable[str]) -> None:
    """Ends the program where packages are missing, and says how to bring them."""
    wanted = [*NEEDS, *([LLAMA_TOKENIZER] if {"1b", "8b"} & set(models) else [])]
    missing = [(need, need.missing) for need in wanted if need.missing]
    if not missing:
        return
    for need, problem in missing:
        print(f"gpu kit: {need.name}>={need.least} ({need.why}) {problem}", file=sys.stderr)
    names = " ".join(_pinned(need) for need, _ in missing)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    print(
        "gpu kit: on a machine with a network (benchmarks/gpu/README.md says more)\n"
        f"  pip download --no-deps --only-binary=:all: --python-version {python} -d wheels {names}\n"
        "and here, with that folder: --wheels wheels",
        file=sys.stderr,
    )
    raise SystemExit(2)


def _pinned(need: Need) -> str:
    """The version that the project's locks have: some packages fit one version of another only."""
    for lock in ("requirements.lock", "requirements-data.lock"):
        for line in (_ROOT / lock).read_text("utf-8").splitlines() if (_ROOT / lock).is_file() else ():
            if line.startswith(f"{need.name}=="):
                return line.split()[0]
    return f"'{need.name}>={need.least}'"


def _numbers(text: str) -> tuple[int, ...]:
    """`2.11.0+cu130` to (2, 11, 0)."""
    parts = ("".join(takewhile(str.isdigit, part)) for part in text.partition("+")[0].split("."))
    return tuple(int(part) for part in takewhile(bool, parts))
