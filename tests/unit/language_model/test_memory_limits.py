"""Freed memory that stays with the process."""

import subprocess
import sys
from pathlib import Path

import pytest

import sparklabel

_MODULE = Path(sparklabel.__file__).parent / "language_model" / "memory_limits.py"
_LAYERS = """
import resource, runpy
keep_freed_memory = runpy.run_path({module!r})["keep_freed_memory"]
{call}
def layer():
    temporaries = [bytes(4 * 2**20).replace(b"0", b"1") + b"." for _ in range(6)]
for _ in range(3): layer()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20): layer()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(call: str) -> int:
    code = _LAYERS.format(module=str(_MODULE), call=call)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_temporaries_of_a_layer_are_not_cleared_again_by_the_kernel() -> None:
    assert _page_faults("keep_freed_memory()") * 10 < _page_faults("")
