"""The limits of a pass, and the decision to stop one between two chunks.

In: what a user allowed, what the pass has computed so far. Out: a reason to stop, or none. What was staged by then is
kept and merged. Runs no Spark statement.
"""

from dataclasses import dataclass

from sparklabel.arguments import is_number
from sparklabel.delta.snapshot import table_sql
from sparklabel.errors import TableError
from sparklabel.labeling.drift import ON_DRIFT, Drift
from sparklabel.labeling.stats import PassStats
from sparklabel.labels.predicates import implicit_correction_sql
from sparklabel.sql import quote

MAX_ERROR_RATIO, MAX_SECONDS, DRIFT, INTERRUPTED = "max_error_ratio", "max_seconds", "on_drift", "interrupted"
NOT_BEGUN = "not_begun"
"""The reason of a pass that did not begin because another pass of the same call ended the call."""
DEFAULT_ERROR_RATIO = 0.5


@dataclass(frozen=True, slots=True)
class PassLimits:
    """What ends a pass early, or refuses it.

    Attributes:
        max_error_ratio: The largest share of inputs, from 0 to 1, that the engine may fail on.
        max_rows: The most distinct inputs to ask, or None for all.
        max_seconds: The most seconds from the beginning of the call, or None. One chunk is always computed, so that
            calls with a short limit get on.
        on_drift: What to do when the first answers are distributed unlike those of earlier passes: "warn", "stop" or
            "ignore".
        max_new_corrections: The most rows whose value may differ from the model's recorded one without a record that
            a person changed it. With more, the pass is refused: another job may have written them. None: any number.

    Raises:
        TableError: A value is out of its range.
    """

    max_error_ratio: float = DEFAULT_ERROR_RATIO
    max_rows: int | None = None
    max_seconds: float | None = None
    on_drift: str = "warn"
    max_new_corrections: int | None = 1000

    def __post_init__(self) -> None:
        if not is_number(self.max_error_ratio) or not 0 <= self.max_error_ratio <= 1:
            raise TableError(f"max_error_ratio={self.max_error_ratio!r} is not between 0 and 1.")
        if self.max_rows is not None and not (type(self.max_rows) is int and self.max_rows > 0):
            raise TableError(f"max_rows={self.max_rows!r} is not a whole number above 0.")
        if self.max_seconds is not None and not (is_number(self.max_seconds) and self.max_seconds > 0):
            raise TableError(f"max_seconds={self.max_seconds!r} is not a number above 0.")
        if (most := self.max_new_corrections) is not None and not (type(most) is int and most >= 0):
            raise TableError(f"max_new_corrections={most!r} is not a whole number from 0.")
        if self.on_drift not in ON_DRIFT:
            raise TableError(f"on_drift={self.on_drift!r} is not one of {', '.join(ON_DRIFT)}.")

    def refusal(self, corrections: int, table: str, column: str) -> TableError | None:
        """The error that refuses a pass over a table with so many implicit corrections; None if they are allowed."""
        if self.max_new_corrections is None or corrections <= self.max_new_corrections:
            return None
        value, label = quote(column), quote(f"{column}_label")
        return TableError(
            f"{corrections:,} rows of {table} differ from the model's recorded {column!r}, more than "
            f"max_new_corrections={self.max_new_corrections:,}. Refusing, in case another job wrote them rather than "
            "people.",
            hint=f"If people wrote them: max_new_corrections={corrections}. If a job did, restore the model's values "
            f"(rows that no pass has labeled keep theirs): UPDATE {table_sql(table)} SET {value} = {label}.value "
            f"WHERE NOT ({value} <=> {label}.value) AND {label}.status IS NOT NULL "
            f"AND {implicit_correction_sql(label)}",
        )


def stop_reason(limits: PassLimits, stats: PassStats, seconds: float, drift: Drift | None = None) -> str:
    """Why a pass should stop after the chunks in `stats`, `seconds` after the call began; "" to go on."""
    if limits.on_drift == "stop" and drift is not None and drift.is_major:
        return DRIFT
    # An engine that failed on so many inputs would fail on the others, too.
    if stats.failed > limits.max_error_ratio * stats.inputs:
        return MAX_ERROR_RATIO
    if limits.max_seconds is not None and seconds >= limits.max_seconds:
        return MAX_SECONDS
    return ""
