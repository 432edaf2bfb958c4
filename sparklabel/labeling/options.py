"""Options of a pass, validated: limits, pricing, storage."""

from dataclasses import dataclass
from typing import Any

from sparklabel.delta.snapshot import is_absolute_path, table_sql
from sparklabel.errors import TableError
from sparklabel.labeling.chunks import PassStats
from sparklabel.labeling.drift import ON_DRIFT
from sparklabel.labels.predicates import implicit_correction_sql
from sparklabel.sql import quote

MAX_ERROR_RATIO, MAX_SECONDS, DRIFT, INTERRUPTED = "max_error_ratio", "max_seconds", "on_drift", "interrupted"
NOT_BEGUN = "not_begun"
"""Of a pass whose call ended before its turn."""


@dataclass(frozen=True, slots=True)
class PassLimits:
    """`max_error_ratio`: the largest share of inputs that the engine may fail on. `max_rows`: the most distinct inputs
    that are asked. `max_seconds` since the pass began. `on_drift`: what happens where the first chunk's answers are
    spread otherwise than the table's. `max_new_corrections`: the most rows that a pass takes for corrections by people
    because their value is not the record's, None: any number. Raises TableError for values that cannot be."""

    max_error_ratio: float = 1.0
    max_rows: int | None = None
    max_seconds: float | None = None
    on_drift: str = "warn"
    max_new_corrections: int | None = 1000

    def __post_init__(self) -> None:
        if not _is_number(self.max_error_ratio) or not 0 <= self.max_error_ratio <= 1:
            raise TableError(f"max_error_ratio={self.max_error_ratio!r} is not between 0 and 1.")
        if self.max_rows is not None and not (type(self.max_rows) is int and self.max_rows > 0):
            raise TableError(f"max_rows={self.max_rows!r} is not a whole number above 0.")
        if self.max_seconds is not None and not (_is_number(self.max_seconds) and self.max_seconds > 0):
            raise TableError(f"max_seconds={self.max_seconds!r} is not a number above 0.")
        if (most := self.max_new_corrections) is not None and not (type(most) is int and most >= 0):
            raise TableError(f"max_new_corrections={most!r} is not a whole number from 0.")
        if self.on_drift not in ON_DRIFT:
            raise TableError(
                f"on_drift={self.on_drift!r} is not known.", hint=f"Use one of: {', '.join(ON_DRIFT)}."
            )

    def stop_reason(self, stats: PassStats, seconds: float) -> str:
        """ "" to go on. The rest of an engine's inputs would fail as well, where it failed on so many."""
        if stats.failed > self.max_error_ratio * stats.inputs:
            return MAX_ERROR_RATIO
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return MAX_SECONDS
        return ""

    def refusal(self, number: int, table: str, column: str) -> TableError | None:
        """Of a pass, where so many values that no pass wrote are more than people are likely to have given."""
        if self.max_new_corrections is None or number <= self.max_new_corrections:
            return None
        value, label = quote(column), quote(f"{column}_label")
        return TableError(
            f"{number:,} rows of {table} have another {column!r} than its record says: more corrections than "
            f"max_new_corrections={self.max_new_corrections:,} allows, so that a backfill is not taken for people.",
            hint=f"If people gave them: max_new_corrections={number}. If a job did, put the model's values back (rows "
            f"that no pass labelled have none, and keep theirs): UPDATE {table_sql(table)} SET {value} = {label}.value "
            f"WHERE NOT ({value} <=> {label}.value) AND {label}.status IS NOT NULL "
            f"AND {implicit_correction_sql(label)}",
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Pricing:
    """`per_hour` of the cluster or GPU that computes, `per_million_tokens` (prompt and answer) of a hosted model.
    Raises TableError for values that cannot be."""

    per_hour: float | None = None
    per_million_tokens: float | None = None

    def __post_init__(self) -> None:
        _check("cost_per_hour", self.per_hour)
        _check("cost_per_million_tokens", self.per_million_tokens)

    def of(self, seconds: float | None, tokens: int) -> float | None:
        """None where no price was given, or the time that it is for is not known."""
        if self.per_hour is None and self.per_million_tokens is None:
            return None
        if self.per_hour is not None and seconds is None:
            return None
        return (self.per_hour or 0.0) * (seconds or 0.0) / 3600 + (
            self.per_million_tokens or 0.0
        ) * tokens / 1e6


def _check(name: str, value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 <= value < float("inf")):
        raise TableError(f"{name}={value!r} is not an amount.", hint="Give a number from 0, or leave it out.")


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """`staging` is the folder where answers wait to be merged, None: inside the table's. `cache` is the folder of
    answers that later passes need not compute again; True: inside the table's, False: none. `deletion_vectors` switches
    these on in the table, which lifts its protocol. Raises TableError for values that cannot be."""

    staging: str | None = None
    cache: str | bool = True
    deletion_vectors: bool = False

    def __post_init__(self) -> None:
        if self.staging is not None and not is_absolute_path(self.staging):
            raise TableError(f"staging={self.staging!r} is not the absolute path of a folder.")
        if not isinstance(self.cache, bool) and not is_absolute_path(self.cache):
            raise TableError(
                f"cache={self.cache!r} is not the absolute path of a folder.",
                hint="Say True for one inside the table's folder, or False for none.",
            )
        check_flags(deletion_vectors=self.deletion_vectors)


def check_flags(**given: Any) -> None:
    """Raises TableError for what is neither True nor False: "no" would be taken for yes."""
    for name, value in given.items():
        if not isinstance(value, bool):
            raise TableError(f"{name}={value!r} is not True or False.")
