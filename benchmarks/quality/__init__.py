"""How good the answers are where `sparklabel benchmark` does not look: texts that give orders, weights of a mixture,
the confidence of fields."""

from pathlib import Path

from sparklabel.benchmarking.suite import DataSet, load_suite


def every_set() -> dict[str, DataSet]:
    """All data sets of conf/benchmark by name, those beside its figure included."""
    return load_suite(Path("conf/benchmark")) | load_suite(Path("conf/benchmark/more"))
