"""A calibrator in SQL beside the same one in Python, on records written out."""

import pytest

from sparklabel.confidence.calibrators import (
    Isotonic,
    Platt,
    Temperature,
    WithFields,
    calibrated_fields,
    fields_sql,
    other_probabilities,
)
from sparklabel.labels.record import Alternative, FieldConfidence

RECORDS = [
    (0.5, [("a", 0.5), ("b", 0.3)]),
    (0.75, [("a", 0.5), ("b", 0.25)]),
    (0.4, None),
    (1.0, [("a", 1.0)]),
    (0.9, []),
]
"""Raw confidence and alternatives."""


@pytest.mark.parametrize(
    "calibrator",
    [
        Temperature(20.0),
        Platt(0.4, -1.5),
        Isotonic((0.3, 0.5, 0.9), (0.2, 0.6, 0.8)),
        WithFields(Platt(0.4, -1.5), Platt(1.0, 0.0)),
    ],
)
def test_sql_computes_the_same_confidence_as_python(spark, calibrator):
    ddl = "raw_confidence DOUBLE, alternatives ARRAY<STRUCT<value: STRING, probability: DOUBLE>>"
    frame = spark.createDataFrame([*RECORDS, (None, None)], ddl).selectExpr("struct(*) AS label")
    *found, unknown = [row[0] for row in frame.selectExpr(calibrator.sql("label")).collect()]
    assert unknown is None
    assert found == pytest.approx(
        [
            calibrator.confidence(
                raw, other_probabilities(raw, others and [Alternative(*other) for other in others])
            )
            for raw, others in RECORDS
        ]
    )


@pytest.mark.parametrize("calibrator", [WithFields(Platt(1.0, 0.0), Platt(0.4, -1.5)), Platt(0.4, -1.5)])
def test_sql_computes_the_same_confidence_of_fields_as_python(spark, calibrator):
    fields = [FieldConfidence("city", 0.9, 0.3), FieldConfidence("rooms", 0.6, None)]
    ddl = "field_confidence ARRAY<STRUCT<field: STRING, confidence: DOUBLE, raw_confidence: DOUBLE>>"
    frame = spark.createDataFrame([(fields,), (None,)], ddl).selectExpr("struct(*) AS label")
    (found,), (missing,) = frame.selectExpr(fields_sql(calibrator, "label")).collect()
    own = [FieldConfidence(one.field, p, p) for one, p in zip(fields, (0.3, 0.6), strict=True)]
    expected = calibrated_fields(calibrator, own)
    assert [tuple(one) for one in found] == [
        (one.field, pytest.approx(one.confidence), one.raw_confidence) for one in expected
    ]
    assert missing is None
