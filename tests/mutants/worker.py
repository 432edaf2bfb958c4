"""Runs tests of one copy of the checkout, each run in a fork of a process that has imported what takes long.

In: the names of the modules that will be changed; then lines of JSON on standard input: the module that is changed,
pytest's arguments, a file for the output, and how long it may take. Out: a line when it is ready, then a line for each:
an `Outcome`. What these modules import of other packages is imported before the fork, and of ours nothing.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from enum import StrEnum


class Outcome(StrEnum):
    """What became of a mutant. One that cannot be imported says nothing of the tests. One that makes them run on and on
    is caught: nobody takes tests that do not end for tests that passed."""

    SURVIVED = "survived"
    CAUGHT = "caught"
    TIMEOUT = "timeout"
    NO_MODULE = "no module"
    BROKEN = "broken"  # pytest itself did not work


_LIBRARIES = (
    "huggingface_hub.errors", "hypothesis", "numpy", "pandas", "pdb", "platformdirs", "pyarrow",
    "pyspark.sql.connect.functions", "pyspark.sql.connect.session", "pytest", "safetensors.numpy", "scipy.stats",
)  # fmt: skip
_EXITS = {
    0: Outcome.SURVIVED, 1: Outcome.CAUGHT, 2: Outcome.CAUGHT, 90: Outcome.NO_MODULE,
    -signal.SIGALRM: Outcome.TIMEOUT, -signal.SIGSEGV: Outcome.CAUGHT, -signal.SIGABRT: Outcome.CAUGHT,
}  # fmt: skip
"""By the exit of the fork: pytest's codes, ours, signals."""


def _run(module: str, arguments: list[str], output: str, seconds: int) -> int:
    """In the fork."""
    os.setsid()
    with open(output, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.alarm(seconds)  # ends this process
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # it wants to import plugins before anybody else does
    try:
        importlib.import_module(module)
    except BaseException:  # noqa: BLE001 a mutant may raise anything
        traceback.print_exc()
        return 90
    import pytest

    try:
        return int(pytest.main(arguments))
    except Warning:  # a thread's exception, which pytest met behind the last test
        return int(pytest.ExitCode.TESTS_FAILED)


def _outcome(module: str, arguments: list[str], output: str, seconds: int) -> Outcome:
    child = os.fork()
    if child == 0:
        code = 91
        try:
            code = _run(module, arguments, output, seconds)
        except BaseException:  # noqa: BLE001 the fork must not go on as its parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what its tests started and left
    return _EXITS.get(os.waitstatus_to_exitcode(status), Outcome.BROKEN)


if __name__ == "__main__":
    for name in (*_LIBRARIES, *sys.argv[1:]):
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sparklabel"]:
        del sys.modules[name]
    print("ready", flush=True)
    for line in sys.stdin:
        print(_outcome(**json.loads(line)).value, flush=True)
