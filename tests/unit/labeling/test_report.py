"""What a report says of costs, without a table."""

import pytest

from sparklabel.errors import TableError
from sparklabel.labeling.options import Pricing
from sparklabel.labeling.report import PassReport
from sparklabel.table.history import Rewritten


def report(**facts):
    return PassReport(
        table="t", task="k", model="m", task_fingerprint="v1:0", pass_id="p", version_before=1, version_after=2,
        states={}, **{"dry_run": False, "pending": 10, "distinct_inputs": 10} | facts,
    )  # fmt: skip


def test_time_and_tokens_have_their_prices():
    assert Pricing(per_hour=3.6, per_million_tokens=2.0).of(1000, 500_000) == pytest.approx(2.0)


def test_what_has_no_price_costs_nothing_that_could_be_said():
    assert Pricing().of(1000, 500_000) is None
    assert Pricing(per_hour=3.6).of(None, 500_000) is None


@pytest.mark.parametrize("pricing", [{"per_hour": -1}, {"per_million_tokens": "2"}])
def test_a_price_that_is_none_is_refused(pricing):
    with pytest.raises(TableError, match="cost_per_"):
        Pricing(**pricing)


def test_the_report_says_what_a_thousand_rows_cost():
    found = report(labeled=2000, cost=1.0)
    assert found.cost_per_1000_rows == 0.5
    assert "cost 1.00, 0.500 per 1,000 rows" in str(found)
    assert "would cost about 1.00, 100.000 per 1,000 rows" in str(report(dry_run=True, cost=1.0))
    assert report(cost=1.0).cost_per_1000_rows is None


def test_rows_without_an_answer_are_not_counted_as_labeled():
    assert "labeled 6 rows; version" in str(report(labeled=6, by_status={"ok": 5, "truncated": 1}))
    found = report(labeled=6, by_status={"ok": 1, "timeout": 3, "uncertain": 2})
    assert "labeled 1 row, 5 without an answer; version" in str(found)


@pytest.mark.parametrize("copied", [9_999_000, 0])
def test_what_deletion_vectors_would_spare_is_said_where_it_is_much(copied):
    commit = {"numTargetBytesAdded": str(100 * 2**20), "numTargetRowsUpdated": "1000"}
    said = str(Rewritten.by([commit | {"numTargetRowsCopied": str(copied)}]))
    assert said.startswith("100 MiB were written, 100 of them for 9,999,000 rows") is bool(copied)
    assert bool(said) is bool(copied)
