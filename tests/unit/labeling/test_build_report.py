"""From a plan and an outcome to what a user reads."""

import pytest

from sparklabel.errors import TableError
from sparklabel.labeling.build_report import build_report, dry_run_report
from sparklabel.labeling.drift import Drift, FirstAnswers
from sparklabel.labeling.limits import DRIFT, INTERRUPTED, MAX_ERROR_RATIO, NOT_BEGUN, PassLimits
from sparklabel.labeling.options import Pricing
from sparklabel.labeling.outcome import InferenceResult, PassOutcome
from sparklabel.labeling.stats import ChunkStats, PassStats


def answered(**fields):
    stats = PassStats()
    stats.add(ChunkStats(10, 0, prompt_tokens=900, output_tokens=100))
    return InferenceResult(stats, **fields)


def test_a_pass_says_what_it_wrote_and_what_it_cost(plan_of):
    outcome = PassOutcome(9, 3600.0, answered(), by_status={"ok": 9, "timeout": 1}, run_id="r")
    report = build_report(plan_of(pricing=Pricing(2.0, 3.0)), outcome)
    assert (report.labeled, report.version_before, report.version_after) == (10, 7, 9)
    assert (report.prompt_tokens, report.output_tokens, report.run_id) == (900, 100, "r")
    assert report.cost == pytest.approx(2.0 + 3.0 * 1000 / 1e6)


def test_what_was_written_is_in_one_order_whichever_status_spark_counts_first(plan_of):
    report = build_report(plan_of(), PassOutcome(9, 1.0, answered(), by_status={"timeout": 1, "ok": 9}))
    assert list(report.by_status.items()) == [("ok", 9), ("timeout", 1)]


def test_a_table_with_nothing_pending_has_a_report_too(plan_of):
    report = build_report(plan_of({"done": 10}, pending_inputs=0), PassOutcome(7, 0.1))
    assert "nothing to do (version 7)" in str(report)
    assert (report.labeled, report.inputs_per_second, report.stopped) == (0, None, "")


@pytest.mark.parametrize("reason", [MAX_ERROR_RATIO, DRIFT, NOT_BEGUN])
def test_the_reason_to_stop_is_in_the_report(plan_of, reason):
    report = build_report(plan_of(), PassOutcome(7, 1.0, answered(stop_reason=reason)))
    assert (report.stopped, report.interrupted) == (reason, False)


def test_an_interrupted_pass_is_not_called_stopped(plan_of):
    report = build_report(plan_of(), PassOutcome(7, 1.0, answered(stop_reason=INTERRUPTED)))
    assert (report.stopped, report.interrupted) == ("", True)


@pytest.mark.parametrize(("index", "said"), [(4.0, True), (0.1, False)])
def test_only_a_major_drift_is_told(plan_of, index, said):
    drift = Drift(index, {"a": 500}, {"b": 500})
    report = build_report(plan_of(), PassOutcome(8, 1.0, answered(first=FirstAnswers(drift))))
    assert report.drift.startswith("answer distribution shifted from earlier passes") is said


def test_a_leaning_to_one_label_is_told(plan_of):
    first = FirstAnswers(leaning="98% of the first 512 answers are 'fresh'.")
    assert first.leaning in str(build_report(plan_of(), PassOutcome(8, 1.0, answered(first=first))))


def test_answers_wait_after_a_drift_and_are_merged_after_other_reasons():
    assert not InferenceResult(stop_reason=DRIFT).should_merge
    assert not InferenceResult(stop_reason=NOT_BEGUN).should_merge
    assert InferenceResult(stop_reason=INTERRUPTED).should_merge


def test_a_dry_run_estimates_by_the_last_rate(plan_of):
    report = dry_run_report(plan_of(rate=2.0, pricing=Pricing(per_hour=7.2)), 0.1)
    assert (report.dry_run, report.estimated_seconds, report.version_after) == (True, 5.0, 7)
    assert report.cost == pytest.approx(0.01)


def test_a_dry_run_estimates_the_rows_that_max_rows_leaves(plan_of):
    whole, part = plan_of(rate=2.0), plan_of(rate=2.0, limits=PassLimits(max_rows=5))
    assert dry_run_report(part, 0.1).estimated_seconds == 2.5
    assert dry_run_report(part, 0.1).prompt_tokens == dry_run_report(whole, 0.1).prompt_tokens // 2


def test_a_dry_run_without_a_rate_does_not_guess_the_time(plan_of):
    report = dry_run_report(plan_of(), 0.1)
    assert report.estimated_seconds is None
    assert "time unknown before a first pass" in str(report)


def test_a_dry_run_says_why_the_pass_would_be_refused(plan_of):
    plan = plan_of(implicit_corrections=2000)
    report = dry_run_report(plan, 0.1, TableError("too many"))
    assert (report.new_corrections, report.refused) == (2000, "too many")


def test_rows_that_another_writer_answered_meanwhile_are_not_called_pending(plan_of):
    report = build_report(plan_of(), PassOutcome(9, 1.0, answered(), by_status={"ok": 4}))
    assert (report.labeled, report.overtaken) == (4, 6)
    assert "6 rows were not written: another writer answered or changed them" in str(report)
    assert "not labeled yet" not in str(report)


def test_rows_that_were_not_asked_are_not_labeled_yet(plan_of):
    limited = build_report(
        plan_of(limits=PassLimits(max_rows=4)), PassOutcome(9, 1.0, answered(), by_status={"ok": 4})
    )
    assert limited.overtaken == 0
    assert "6 pending rows are not labeled yet" in str(limited)
