"""When a pass stops, and when it is refused."""

import pytest

from sparklabel.errors import TableError
from sparklabel.labeling.drift import Drift
from sparklabel.labeling.limits import DRIFT, MAX_ERROR_RATIO, MAX_SECONDS, PassLimits, stop_reason
from sparklabel.labeling.stats import ChunkStats, PassStats

SHIFTED = Drift(4.0, {"a": 500}, {"b": 500})
UNSHIFTED = Drift(0.0, {"a": 500}, {"a": 500})


def stats(inputs, failed):
    done = PassStats()
    done.add(ChunkStats(inputs, failed, prompt_tokens=0, output_tokens=0))
    return done


@pytest.mark.parametrize(
    ("limits", "failed", "seconds", "drift", "reason"),
    [
        ({}, 0, 1e9, None, ""),
        ({}, 50, 0, None, ""),
        ({}, 51, 0, None, MAX_ERROR_RATIO),
        ({"max_error_ratio": 1.0}, 100, 0, None, ""),
        ({"max_error_ratio": 0.0}, 1, 0, None, MAX_ERROR_RATIO),
        ({"max_seconds": 10}, 0, 9.9, None, ""),
        ({"max_seconds": 10}, 0, 10, None, MAX_SECONDS),
        ({"max_seconds": 10}, 100, 10, None, MAX_ERROR_RATIO),
        ({}, 0, 0, SHIFTED, ""),
        ({"on_drift": "stop"}, 0, 0, UNSHIFTED, ""),
        ({"on_drift": "stop"}, 100, 0, SHIFTED, DRIFT),
    ],
)
def test_a_pass_stops_for_the_limit_that_it_met(limits, failed, seconds, drift, reason):
    assert stop_reason(PassLimits(**limits), stats(100, failed), seconds, drift) == reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_error_ratio", 1.1),
        ("max_error_ratio", True),
        ("max_rows", 0),
        ("max_rows", 2.5),
        ("max_seconds", 0),
        ("max_seconds", "10"),
        ("on_drift", "panic"),
        ("max_new_corrections", -1),
        ("max_new_corrections", 1.5),
        ("max_new_corrections", True),
    ],
)
def test_a_limit_out_of_its_range_is_refused_by_name(name, value):
    with pytest.raises(TableError, match=f"{name}={value!r}"):
        PassLimits(**{name: value})


def test_more_corrections_than_people_give_are_refused():
    refusal = str(PassLimits().refusal(1001, "t", "intent"))
    assert "1,001 rows of t differ from the model's recorded 'intent'" in refusal
    assert "max_new_corrections=1001" in refusal


@pytest.mark.parametrize("most", [1001, None])
def test_corrections_within_the_limit_are_not_refused(most):
    assert PassLimits(max_new_corrections=most).refusal(1001, "t", "intent") is None
