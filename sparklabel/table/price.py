"""What a pass costs, in whatever currency its user counts.

In: prices. Out: amounts for time and tokens. It knows of no provider's price list.
"""

from dataclasses import dataclass
from typing import Any

from sparklabel.errors import TableError


@dataclass(frozen=True, slots=True)
class Price:
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
