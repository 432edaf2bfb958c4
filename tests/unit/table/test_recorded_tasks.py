"""What a table remembers of its tasks."""

import json
from dataclasses import replace

import pytest

from sparklabel.confidence.calibrators import Temperature
from sparklabel.delta.snapshot import TableSnapshot
from sparklabel.errors import TableError
from sparklabel.table.recorded_tasks import TASK_PROPERTY, Calibration, RecordedTask, recorded_tasks


def calibration(model, temperature=1.5, fingerprint="v1:0"):
    return Calibration.of(model, fingerprint, Temperature(temperature), f"run {model}")


def remembering(*calibrations):
    recorded = RecordedTask("verdict", ("id",))
    for one in calibrations:
        recorded = replace(recorded, calibrations=recorded.calibrated([one]))
    return RecordedTask.read(recorded.to_json())


def test_models_that_label_a_table_in_turn_each_keep_their_calibrator():
    recorded = remembering(calibration("small", 2.0), calibration("large", 3.0))
    found = [recorded.calibrator(model, "v1:0") for model in ("small", "large")]
    assert [(one.calibrator.temperature, one.run_id) for one in found] == [
        (2.0, "run small"),
        (3.0, "run large"),
    ]
    assert recorded.calibrator("other", "v1:0") is None
    assert recorded.calibrator("small", "v1:1") is None


def test_a_newer_calibrator_of_a_model_takes_the_place_of_the_one_before():
    recorded = remembering(calibration("small", 2.0), calibration("large"), calibration("small", 4.0))
    assert [(one.model, one.fitted.calibrator) for one in recorded.calibrations] == [
        ("small", Temperature(4.0)),
        ("large", Temperature(1.5)),
    ]


@pytest.mark.parametrize("again", [[], [calibration("small")]])
def test_a_pass_without_a_new_calibrator_changes_nothing(again):
    known = remembering(calibration("small"), calibration("large"))
    assert known.calibrated(again) == known.calibrations


def test_of_many_calibrations_the_four_newest_are_remembered():
    recorded = remembering(*map(calibration, "abcde"))
    assert [one.model for one in recorded.calibrations] == ["e", "d", "c", "b"]


def table(content):
    return TableSnapshot(
        "tickets", "`tickets`", "", 0, None, {f"{TASK_PROPERTY}intent": content, "owner": "me"}
    )


def test_what_a_newer_release_adds_is_ignored():
    recorded = json.loads(remembering(calibration("small")).to_json())
    recorded["calibrations"][0]["rows"], recorded["since"] = 7, "2027"
    assert recorded_tasks(table(json.dumps(recorded)))["intent"] == remembering(calibration("small"))


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"calibrations": [{"model": "m"}]}', '{"calibrations": 5}', '{"key": 5}']
)
def test_a_property_that_cannot_be_read_is_named_with_what_removes_it(content):
    with pytest.raises(TableError, match=r"'sparklabel\.task\.intent' of tickets.*\n.*UNSET TBLPROPERTIES"):
        recorded_tasks(table(content))
