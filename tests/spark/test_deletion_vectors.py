"""Deletion vectors: on only where the table's owner asked for them."""


def enabled(spark, table):
    properties = spark.sql(f"DESCRIBE DETAIL {table}").first()["properties"]
    return properties.get("delta.enableDeletionVectors") == "true"


def test_a_pass_enables_deletion_vectors_only_when_asked_to(spark, small, label):
    label(small, where="id < 0")
    assert not enabled(spark, small)
    label(small, where="id < 5", deletion_vectors=True)
    assert enabled(spark, small)
    metrics = spark.sql(f"DESCRIBE HISTORY {small}").where("operation = 'MERGE'").first()["operationMetrics"]
    assert (metrics["numTargetRowsUpdated"], metrics["numTargetRowsCopied"]) == ("5", "0")
