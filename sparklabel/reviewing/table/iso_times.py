"""Times as events have them, and as Spark counts them.

In: ISO 8601 texts, or microseconds since 1970. Out: the other form. No time zone of a session plays a part.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(text: str | None) -> int | None:
    """Microseconds since 1970; None for what is not a time. A time without an offset is in UTC."""
    with suppress(ValueError, TypeError):
        found = datetime.fromisoformat(text or "")
        return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    return None


def to_iso(micros: int | None) -> str | None:
    """ISO 8601 in UTC with microseconds; None for none, and for a year that Python does not have."""
    with suppress(OverflowError):
        return None if micros is None else (_EPOCH + micros * _MICROSECOND).isoformat(timespec="microseconds")
    return None
