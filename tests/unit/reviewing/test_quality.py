"""What the page about quality shows: audited rows judge, and people's agreement and effort beside."""

import pytest

from sparklabel.reviewing.insight.charts import CHARTS
from sparklabel.reviewing.insight.quality import JudgedLabel, quality
from sparklabel.reviewing.records import ANSWER, AUDIT, QUEUE, Event
from sparklabel.tasks import classification

MODE = classification("tone", "text", ["calm", "angry"]).answer_mode


def judged(value, said, confidence=0.9, *, model="m1", reason=AUDIT):
    return JudgedLabel(
        value=value, model_value=said, confidence=confidence, model=model, labeled_at=f"2026-01-01 {model}",
        reason=reason,
    )  # fmt: skip


def answered(reviewer, row, value, seconds=None):
    return Event(
        event_id=f"{reviewer} {row}", task="tone", key="{}", input_hash=row, kind=ANSWER, value=value,
        reviewer=reviewer, seconds=seconds,
    )  # fmt: skip


ROWS = [judged("calm", "calm"), judged("calm", "angry", 0.6), judged("angry", "angry", 0.95)]


def test_only_audited_rows_say_how_right_a_model_is():
    found = quality(
        MODE, [*ROWS, judged("calm", "angry", reason=QUEUE), judged("calm", "angry", reason=None)], []
    )
    assert (found.audited, found.versions[0].right, found.versions[0].n) == (3, 2, 3)
    assert found.versions[0].interval == pytest.approx((0.208, 0.939), abs=1e-3)


def test_versions_are_in_the_order_in_which_they_labeled_and_the_newest_is_looked_at():
    found = quality(MODE, [judged("calm", "angry", model="m2"), *ROWS], [])
    assert [one.model for one in found.versions] == ["m1", "m2"]
    assert [(one.value, one.model_value, one.n) for one in found.confusions] == [("calm", "angry", 1)]


def test_reliability_is_accuracy_by_confidence():
    bins = quality(MODE, ROWS, []).reliability
    assert [(one.low, one.n, one.accuracy) for one in bins] == [(0.6, 1, 0.0), (0.9, 2, 1.0)]


def test_coverage_says_how_right_the_surer_labels_are():
    found = {one.threshold: (one.share, one.accuracy) for one in quality(MODE, ROWS, []).coverage}
    assert found[0.0] == (1.0, pytest.approx(2 / 3))
    assert found[0.9] == (pytest.approx(2 / 3), 1.0)
    assert found[0.99] == (0.0, None)


def test_agreement_is_of_rows_that_two_people_answered():
    events = [answered("ann", "1", "calm"), answered("bo", "1", "calm"), answered("ann", "2", "calm")]
    events += [answered("ann", "3", "angry"), answered("bo", "3", "angry")]
    found = quality(MODE, [], events)
    assert (found.alpha, found.pairs) == (1.0, (("ann", "bo", 1.0, 2),))


def test_effort_counts_no_breaks():
    events = [answered("ann", str(row), "calm", seconds) for row, seconds in enumerate((2.0, 4.0, 3000.0))]
    found = quality(MODE, ROWS, events).effort
    assert (found.answers, found.seconds, found.minutes, found.per_wrong_label) == (3, 4.0, 2.1, 126.0)


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_svg_without_a_script_also_of_nothing(name):
    for rows in (ROWS, []):
        drawn = CHARTS[name](quality(MODE, rows, []))
        assert b"<svg" in drawn
        assert b"<script" not in drawn
