"""Rows that a test writes out, and what SQL says of each: no pass, no model, and no table but the lease's staging.

One query evaluates all of a test's rows, so a test takes a fraction of a second once there is a session.
"""

import pytest

from sparklabel.labels.record import label_ddl

RECORD = {
    "value": "fresh", "source": "model", "status": "ok", "input_hash": "h", "task_fingerprint": "f", "model": "m",
    "confidence": 0.9, "attempts": 1, "pass_id": "p",
}  # fmt: skip


@pytest.fixture(scope="session")
def record():
    """A label record as it stands in a table: an answer of the model `m`, with the fields that a test changes."""
    return lambda **changed: RECORD | changed


@pytest.fixture(scope="session")
def literal(spark):
    """`literal({case: (value, record)})`: a DataFrame of `case`, `value` and `label`. A record of None is NULL."""
    schema = f"case STRING, value STRING, label {label_ddl('STRING')}"

    def make(rows):
        return spark.createDataFrame([(case, value, label) for case, (value, label) in rows.items()], schema)

    return make


@pytest.fixture(scope="session")
def says(literal):
    """`says(sql, {case: (value, record)})`: what the SQL expression is for each case."""

    def evaluate(sql, rows):
        return {row.case: row.said for row in literal(rows).selectExpr("case", f"{sql} AS said").collect()}

    return evaluate
