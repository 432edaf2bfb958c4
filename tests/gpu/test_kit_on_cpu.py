"""The GPU kit on this machine's CPU: where there is no Spark and no MLflow, every part measures something."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.table import OK

ROOT = Path(__file__).parents[2]
ABSENT = """
import sys
from importlib.machinery import PathFinder

class Absent(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        gone = name.partition(".")[0] in {"pyspark", "delta", "mlflow", "py4j", "pyarrow", "optuna"}
        return None if gone else super().find_spec(name, path, target)

sys.meta_path[:] = [Absent if finder is PathFinder else finder for finder in sys.meta_path]
"""
"""As a sitecustomize it holds for every process that the kit starts."""
FIGURES = {
    "scoring": {"rows/s", "of peak", "times out of memory"},
    "generation": {"rows/s", "tokens/s", "valid", "ours is"},
    "training": {"tokens/s", "of bare", "peak GiB", "loss after", "same weights"},
    "agreement": {"within 0.001", "within 0.02"},
    "server": {"deaths", "processes", "GiB after"},
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `python -m benchmarks.gpu.run --device cpu --tiny` prints and writes."""
    folder = tmp_path_factory.mktemp("kit")
    (folder / "sitecustomize.py").write_text(ABSENT)
    command = [sys.executable, "-m", "benchmarks.gpu.run", "--device", "cpu", "--tiny", "--minutes", "60"]
    path = os.pathsep.join([str(folder), str(ROOT)])
    ran = subprocess.run(
        [*command, "--out", str(folder / "out.json")], cwd=ROOT, env=os.environ | {"PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout, json.loads((folder / "out.json").read_text())


def test_every_part_of_the_gpu_kit_has_figures_without_spark_and_mlflow(found):
    printed, written = found
    assert {line["status"] for line in written["lines"]} == {OK}
    for part, names in FIGURES.items():
        figures = [line["figures"] for line in written["lines"] if line["part"] == part]
        assert names <= set().union(*figures)
        assert all(value >= 0 for one in figures for value in one.values())
        assert f"\n{part} " in printed
