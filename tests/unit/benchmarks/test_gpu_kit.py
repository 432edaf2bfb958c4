"""What the GPU kit asks of its host, and the table that it prints."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.needs import Need
from benchmarks.gpu.table import FAILED, Line, table


def test_a_table_has_a_head_for_each_part_and_says_what_failed():
    lines = [
        Line("scoring", "1b", "2 labels", {"rows/s": 1234.5, "rows": 7}),
        Line("server", "1b", "4 clients", status=FAILED, note="it hung"),
        Line("scoring", "8b", "2 labels", {"rows/s": 0.25}),
    ]
    scoring, server = table(lines).split("\n\n")
    assert scoring.splitlines() == [
        "scoring  case      rows/s  rows  status",
        "1b       2 labels   1,234     7  ok",
        "8b       2 labels    0.25        ok",
    ]
    assert "FAILED" in server
    assert "(it hung)" in server


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (Need("nowhere", "nowhere", "1", "a test"), "is not installed"),
        (Need("numpy", "numpy", "99", "a test"), "too old"),
        (Need("numpy", "numpy", "1.2", "a test"), ""),
    ],
)
def test_a_missing_or_old_package_is_named(need, said):
    assert said in need.missing
    assert bool(said) == bool(need.missing)


def test_the_kit_needs_nothing_that_a_host_lacks():
    lacking = ("pyarrow", "pyspark", "delta", "mlflow", "optuna")
    program = f"import sys; sys.modules |= dict.fromkeys({lacking}); import benchmarks.gpu.ours"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
