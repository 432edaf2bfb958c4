"""The label: one record everywhere, its SQL type, and the SQL predicates over it.

What the UDF returns and what a table keeps are the same struct. A task owns two columns: the value column, that
everybody reads, and the label column, the record. The predicates here are the only definition of what is pending and
what a person answered; they are text, so that they work in a Column, in a MERGE and over Spark Connect alike.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class Alternative(NamedTuple):
    """A value that a scored kind could have given, with its probability."""

    value: Any
    probability: float


class FieldConfidence(NamedTuple):
    """The confidence of one field of a generated value."""

    field: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One answer for one row. `status` decides whether there is one: a NULL value can be a right answer.

    `confidence` is the probability of the value in [0, 1], calibrated once a calibrator exists; `raw_confidence` is
    the model's own. `alternatives` are the best five, most probable first. `attempts` counts engine calls.
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
    """The SQL type of the record, for values of `value_type`. It only ever grows, at its end."""
    return (
        f"STRUCT<value: {value_type}, confidence: DOUBLE, raw_confidence: DOUBLE, "
        f"alternatives: ARRAY<STRUCT<value: {value_type}, probability: DOUBLE>>, "
        "field_confidence: ARRAY<STRUCT<field: STRING, confidence: DOUBLE>>, "
        "status: STRING, error: STRING, source: STRING, model: STRING, task_fingerprint: STRING, "
        "input_hash: STRING, pass_id: STRING, attempts: INT, labeled_at: TIMESTAMP, "
        "reviewer: STRING, reviewed_at: TIMESTAMP, review_reason: STRING, prompt_tokens: INT, output_tokens: INT>"
    )


def input_hash(values: Sequence[bytes | None]) -> str:
    """SHA-256 (hex) of a row's inputs, as UTF-8 bytes; equal to `input_hash_sql` on the same row.

    Lengths are part of what is hashed, so ("ab", "c") and ("a", "bc") differ, and so do NULL and "".
    """
    digest = hashlib.sha256()
    for value in values:
        digest.update(b"N" if value is None else b"S%d:" % len(value) + value)
    return digest.hexdigest()
