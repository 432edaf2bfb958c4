"""Prices of a pass, and where it keeps its state. Validated on creation; nothing is made here.

In: what a user wrote. Out: frozen records.
"""

from dataclasses import dataclass

from sparklabel.arguments import check_flags, is_number
from sparklabel.delta.paths import is_absolute_path
from sparklabel.errors import TableError


@dataclass(frozen=True, slots=True)
class Pricing:
    """What computing costs, in any currency: `per_hour` of the cluster or GPU, `per_million_tokens` (prompt and output)
    of a hosted model. Raises TableError for values that are not amounts."""

    per_hour: float | None = None
    per_million_tokens: float | None = None

    def __post_init__(self) -> None:
        for name, value in (
            ("cost_per_hour", self.per_hour),
            ("cost_per_million_tokens", self.per_million_tokens),
        ):
            if value is not None and not (is_number(value) and 0 <= value < float("inf")):
                raise TableError(
                    f"{name}={value!r} is not an amount.", hint="Give a number from 0, or leave it out."
                )

    def of(self, seconds: float | None, tokens: int) -> float | None:
        """The cost of `seconds` of computing and `tokens`; None without prices, or when `seconds` is unknown and there
        is a price per hour."""
        if self.per_hour is None and self.per_million_tokens is None:
            return None
        if self.per_hour is not None and seconds is None:
            return None
        by_time = (self.per_hour or 0.0) * (seconds or 0.0) / 3600
        return by_time + (self.per_million_tokens or 0.0) * tokens / 1e6


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """Where a pass keeps its state, and how it may write the table.

    Attributes:
        staging: The folder where answers wait to be merged; None for one inside the table's folder.
        cache: The folder of answers that later passes need not compute again; True for one inside the table's folder,
            False for none.
        deletion_vectors: Enable deletion vectors in the table, which upgrades its protocol.
        allow_unsafe_store: Write also where Delta would lose commits if a second driver wrote there.

    Raises:
        TableError: A folder is not an absolute path, or a flag is not a bool.
    """

    staging: str | None = None
    cache: str | bool = True
    deletion_vectors: bool = False
    allow_unsafe_store: bool = False

    def __post_init__(self) -> None:
        if self.staging is not None and not is_absolute_path(self.staging):
            raise TableError(f"staging={self.staging!r} is not the absolute path of a folder.")
        if not isinstance(self.cache, bool) and not is_absolute_path(self.cache):
            raise TableError(
                f"cache={self.cache!r} is not the absolute path of a folder.",
                hint="Use True for a cache inside the table's folder, or False for none.",
            )
        check_flags(
            TableError, deletion_vectors=self.deletion_vectors, allow_unsafe_store=self.allow_unsafe_store
        )
