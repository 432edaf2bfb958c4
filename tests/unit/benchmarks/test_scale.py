"""The simulation of large passes: its bounds hold for the constants of today, and would not hold for worse ones."""

from dataclasses import replace

import pytest

from benchmarks.scale.__main__ import BOUNDS, beyond
from benchmarks.scale.simulation import Scenario, Staged, simulate
from sparklabel.labeling.state import lease

LARGE = Scenario(rows=100_000_000, slots=4000, rate=10.0)


@pytest.mark.parametrize("rate", [100.0, 10.0, 1.0, 0.1])
def test_a_hundred_million_rows_stay_within_every_bound(rate):
    assert beyond(simulate(replace(LARGE, rate=rate))) == []


def test_figures_of_a_small_pass_can_be_counted_by_hand():
    # A first chunk of 128, which loads the model for a minute, and one of the 72 that are left.
    found = simulate(Scenario(rows=200, slots=2, rate=1.0))
    assert (found.chunks, found.files, found.staging_commits) == (2, 5, 7)
    assert (found.lease_commits, found.table_commits) == (3, 3)
    assert 60 + 64 + 36 < found.seconds < 161


def test_staging_has_the_files_of_chunks_lease_and_heartbeats():
    assert Staged.by([3, 1], beats=2) == Staged(files=7, commits=7)


def test_a_figure_that_passes_its_bound_is_named():
    assert {"files", "lost_seconds"} < set(beyond(simulate(replace(LARGE, rate=0.01))))


def test_slow_writers_show_as_idle_slots():
    assert simulate(replace(LARGE, write_rate=2_000.0)).idle > BOUNDS["idle"] > simulate(LARGE).idle


def test_heartbeats_count_as_files(monkeypatch):
    files = simulate(LARGE).files
    monkeypatch.setattr(lease, "_BEAT_SECONDS", 1.0)
    assert simulate(LARGE).files > 2 * files
