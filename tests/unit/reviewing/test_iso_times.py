"""Times as events have them, and as Spark counts them."""

import pytest

from sparklabel.reviewing.table.iso_times import to_iso, to_micros


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-11-02T10:00:00.000001+00:00", 1_793_613_600_000_001),
        ("2026-11-02T11:00:00.000001+01:00", 1_793_613_600_000_001),
        ("2026-11-02T10:00:00", 1_793_613_600_000_000),
        ("1969-12-31T23:59:59.999999+00:00", -1),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_counted_in_microseconds(text, micros):
    assert to_micros(text) == micros


def test_a_count_is_written_in_utc():
    assert to_iso(-1) == "1969-12-31T23:59:59.999999+00:00"
    assert to_iso(None) is None
    assert to_iso(2**62) is None
