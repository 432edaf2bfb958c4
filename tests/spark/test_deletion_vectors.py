"""Deletion vectors: on only where the table's owner asked for them."""

import pytest

from sparklabel.table.deletion_vectors import Rewritten


def enabled(spark, table):
    properties = spark.sql(f"DESCRIBE DETAIL {table}").first()["properties"]
    return properties.get("delta.enableDeletionVectors") == "true"


def test_a_pass_switches_them_on_when_asked_and_only_then(spark, small, label):
    label(small, where="id < 1")
    assert not enabled(spark, small)
    label(small, deletion_vectors=True)
    assert enabled(spark, small)
    metrics = spark.sql(f"DESCRIBE HISTORY {small}").where("operation = 'MERGE'").first()["operationMetrics"]
    assert (metrics["numTargetRowsUpdated"], metrics["numTargetRowsCopied"]) == ("5", "0")


@pytest.mark.parametrize(
    ("copied", "says"), [(9_999_000, "100 MiB were written, 100 of them for 9,999,000 rows"), (0, "")]
)
def test_the_report_says_what_they_would_spare(copied, says):
    commit = {"numTargetBytesAdded": str(100 * 2**20), "numTargetRowsUpdated": "1000"}
    assert str(Rewritten.by([commit | {"numTargetRowsCopied": str(copied)}])).startswith(says)
    assert bool(str(Rewritten.by([commit | {"numTargetRowsCopied": str(copied)}]))) is bool(says)
