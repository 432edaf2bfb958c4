"""Runs of tests over mutants: in copies of the checkout, beside each other, against one Spark server.

In: mutants, and the tests of their modules. Out: for each an `Outcome`. The checkout itself is never changed.
"""

import compileall
import json
import os
import py_compile
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.operators import Mutant
from tests.mutants.worker import Outcome

COPIED = ("sparklabel", "tests", "benchmarks", "conf", "pyproject.toml")
_PYTEST = (
    "-x", "--tb=line", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0",
)  # fmt: skip

_LONGEST = 600
"""Seconds that a module's tests may take without a change."""
_SHORTEST, _TIMES = 20, 4
"""Over a mutant they may take so many times as long, and so many seconds at least: a change can make a loop endless."""


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a mutant, in how many seconds, and the end of what pytest printed."""

    mutant: Mutant
    outcome: Outcome
    seconds: float
    printed: str


class Copy:
    """A copy of the checkout with a process that runs tests in it."""

    def __init__(
        self, checkout: Path, folder: Path, modules: Sequence[str], environment: dict[str, str]
    ) -> None:
        self._folder, self._output = folder, folder.with_suffix(".txt")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in COPIED:
            source = checkout / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        # Compiled files by their source's content: a mutant may be as long as the original, and as old to the second.
        compileall.compile_dir(
            folder / "sparklabel",
            quiet=1,
            force=True,
            invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH,
        )
        command = [sys.executable, "-m", "tests.mutants.worker", *map(_dotted, modules)]
        environment = environment | {"PYTHONPATH": _path(folder)}
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def wait(self) -> None:
        """Returns when it can run tests."""
        self._process.stdout.readline()

    def test(self, module: str, tests: Sequence[str], seconds: int) -> tuple[Outcome, str]:
        """Runs tests in the copy as it is, for so many seconds at most."""
        asked = {
            "module": _dotted(module), "arguments": [*_PYTEST, *tests], "output": str(self._output), "seconds": seconds,
        }  # fmt: skip
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        outcome = Outcome(self._process.stdout.readline().strip())
        printed = self._output.read_text("utf-8", "replace")[-4000:]
        if outcome is Outcome.BROKEN:
            raise RuntimeError(printed)
        return outcome, printed

    def limit(self, module: str, tests: Sequence[str]) -> int:
        """How many seconds a module's tests may take over a mutant. Raises RuntimeError if they fail without one."""
        begun = time.monotonic()
        outcome, printed = self.test(module, tests, _LONGEST)
        if outcome is not Outcome.SURVIVED:
            raise RuntimeError(f"The tests of {module} fail without a change:\n{printed}")
        return round(max(_SHORTEST, _TIMES * (time.monotonic() - begun)))

    def run(self, mutant: Mutant, tests: Sequence[str], seconds: int) -> Run:
        """Runs tests over a mutant. If they reach their limit, it is measured again, and they are run again: others may
        load the machine now."""
        begun = time.monotonic()
        outcome, printed = self._mutated(mutant, tests, seconds)
        if outcome is Outcome.TIMEOUT:
            outcome, printed = self._mutated(mutant, tests, self.limit(mutant.module, tests))
        return Run(mutant, outcome, time.monotonic() - begun, printed)

    def _mutated(self, mutant: Mutant, tests: Sequence[str], seconds: int) -> tuple[Outcome, str]:
        file = self._folder / mutant.module
        original = file.read_text("utf-8")
        file.write_text(mutant.source, "utf-8")
        try:
            return self.test(mutant.module, tests, seconds)
        finally:
            file.write_text(original, "utf-8")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def _dotted(module: str) -> str:
    return module.removesuffix(".py").replace("/", ".")


def _path(folder: Path) -> str:
    """The copy before all else, then what this process had been given."""
    given = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return os.pathsep.join([str(folder), *given])


@contextmanager
def spark_server(warehouse: Path) -> Iterator[dict[str, str]]:
    """A Spark server with Delta that all copies ask, with its tables in a folder that is emptied: what they need in
    their environment."""
    from sparklabel.delta.session import spark_session

    shutil.rmtree(warehouse, ignore_errors=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    settings = {
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.port": str(port), "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.authenticate.token": token, "spark.connect.session.manager.defaultSessionTimeout": "10m",
        "spark.master": "local[2]", "spark.driver.memory": "2g", "spark.sql.warehouse.dir": str(warehouse),
        "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }  # fmt: skip
    session = spark_session(settings)
    session.sparkContext.setLogLevel("OFF")  # mutants' sessions end in the middle of a statement
    try:
        yield os.environ | {
            "SPARK_REMOTE": f"sc://localhost:{port}", "SPARK_CONNECT_AUTHENTICATE_TOKEN": token,
        }  # fmt: skip
    finally:
        session.stop()


def run_all(
    copies: Sequence[Copy],
    mutants: Sequence[Mutant],
    tests: Mapping[str, Sequence[str]],
    limits: Mapping[str, int],
) -> Iterator[Run]:
    """All runs, in the order of the mutants; the tests and their limits in seconds by module."""
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def run(mutant: Mutant) -> Run:
        copy = free.get()
        try:
            return copy.run(mutant, tests[mutant.module], limits[mutant.module])
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        yield from pool.map(run, mutants)
