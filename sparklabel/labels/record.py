"""The label: one record everywhere, and its SQL type.

In: a row's answer. Out: the struct that the UDF returns and that a table keeps. A task owns two columns: the value
column, which everybody reads, and the label column, which holds this record. Which rows are pending or answered by a
person is decided in `sparklabel.labels.predicates`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class Alternative(NamedTuple):
    """A value that a scored task could have given, with its probability in [0, 1]."""

    value: Any
    probability: float


class FieldConfidence(NamedTuple):
    """The probability that one field of an answer is right, in [0, 1]: calibrated if a calibrator was fitted, and the
    model's own (None in records of releases that did not calibrate fields: theirs is `confidence`)."""

    field: str
    confidence: float
    raw_confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One row's answer. `status` says whether there is one: a NULL value can be a right answer.

    Attributes:
        value: The answer; None if there is none, or if NULL is the answer.
        confidence: The probability of the value in [0, 1], calibrated if a calibrator was fitted.
        raw_confidence: The model's own probability of the value.
        alternatives: The five most probable values, most probable first (scored tasks).
        field_confidence: The confidence of each part of the value: of the fields of a struct in their order, of the
            entities of a list in theirs (under their types), of each label of a multilabel task.
        status: `ok`, `truncated`, or why there is no answer.
        error: Details of the status.
        source: `model` or `human`.
        model: The model's immutable identity.
        task_fingerprint: Identifies the version of the task.
        input_hash: Identifies the row's inputs.
        pass_id: The pass that wrote the label.
        attempts: How often the engine was called for these inputs.
        labeled_at: When the model answered.
        reviewer: The person who answered.
        reviewed_at: When that person answered.
        review_reason: Why the row was shown to a person.
        prompt_tokens: Tokens of the prompt.
        output_tokens: Tokens that the model wrote; 0 for scored tasks.
    """

    value: Any = None
    confidence: float | None = None
    raw_confidence: float | None = None
    alternatives: tuple[Alternative, ...] | None = None
    field_confidence: tuple[FieldConfidence, ...] | None = None
    status: str
    error: str | None = None
    source: str = "model"
    model: str | None = None
    task_fingerprint: str | None = None
    input_hash: str | None = None
    pass_id: str | None = None
    attempts: int | None = None
    labeled_at: datetime | None = None
    reviewer: str | None = None
    reviewed_at: datetime | None = None
    review_reason: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None

    def record(self) -> dict[str, Any]:
        """The fields by name, as they are: `dataclasses.asdict` would copy each alternative."""
        return {name: getattr(self, name) for name in self.__slots__}


def label_ddl(value_type: str) -> str:
    """The SQL type of the record, for values of the SQL type `value_type`. Later releases only append fields.

    TIMESTAMP_LTZ, as TIMESTAMP means another type where a session sets `spark.sql.timestampType`.
    """
    return (
        f"STRUCT<value: {value_type}, confidence: DOUBLE, raw_confidence: DOUBLE, "
        f"alternatives: ARRAY<STRUCT<value: {value_type}, probability: DOUBLE>>, "
        "field_confidence: ARRAY<STRUCT<field: STRING, confidence: DOUBLE, raw_confidence: DOUBLE>>, "
        "status: STRING, error: STRING, source: STRING, model: STRING, task_fingerprint: STRING, "
        "input_hash: STRING, pass_id: STRING, attempts: INT, labeled_at: TIMESTAMP_LTZ, "
        "reviewer: STRING, reviewed_at: TIMESTAMP_LTZ, review_reason: STRING, prompt_tokens: INT, output_tokens: INT>"
    )


def input_hash(values: Sequence[bytes | None]) -> str:
    """SHA-256 (hex) of a row's inputs, as UTF-8 bytes; equal to `input_hash_sql` on the same row.

    Lengths are hashed too, so that ("ab", "c") and ("a", "bc") differ, and so do NULL and "".
    """
    digest = hashlib.sha256()
    for value in values:
        digest.update(b"N" if value is None else b"S%d:" % len(value) + value)
    return digest.hexdigest()
