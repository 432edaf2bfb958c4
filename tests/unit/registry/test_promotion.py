"""Promotion: which version is the champion, and who may make it one. Against a real MLflow on SQLite."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import mlflow
import pytest

from sparklabel import registry
from sparklabel.errors import ModelError
from sparklabel.training.gate import judge
from sparklabel.training.promotion import log_gate, log_verdict, promote_if_better, promoted_before

# MLflow's own use of SQLAlchemy; nothing that we can change.
pytestmark = pytest.mark.usefixtures("store")
BETTER, WORSE = judge([True] * 200, [False] * 200), judge([False] * 200, [True] * 200)


@pytest.fixture
def season(request, base, tmp_path, adapter_folder, log):
    """The name of a registered model with three versions and no champion."""
    name = request.node.name.partition("[")[0][:80]
    for value in (1.0, 2.0, 3.0):
        log(adapter_folder(tmp_path / str(value), base, value), name)
    return name


def champion(name):
    """The champion's version."""
    return registry.champion(name)


class Judge:
    """Says the same of a version whenever it is asked, and what it was judged against; `meanwhile` is done first."""

    def __init__(self, result, meanwhile=lambda asked: None):
        self.result, self.meanwhile, self.against = result, meanwhile, []

    def __call__(self, baseline):
        self.against.append(baseline)
        self.meanwhile(len(self.against))
        return self.result, "the base"


def test_the_champion_is_the_version_that_was_promoted(season):
    assert champion(season) is None
    assert registry.promote(season, "2", replacing=None)
    assert champion(season) == "2"


def test_promoting_a_version_that_does_not_exist_is_refused(season):
    with pytest.raises(ModelError, match=r"Version 99 of '.*' cannot be promoted") as caught:
        registry.promote(season, "99", replacing=None)
    assert "versions 1, 2" in caught.value.hint


def test_a_version_replaces_only_the_champion_that_it_was_judged_against(season):
    registry.promote(season, "1", replacing=None)
    assert not registry.promote(season, "2", replacing=None)
    assert registry.promote(season, "2", replacing="1")
    assert not registry.promote(season, "3", replacing="1")
    assert champion(season) == "2"


def test_of_two_that_promote_at_once_one_does(season):
    start = Barrier(2)

    def promote(version):
        start.wait()
        return registry.promote(season, version, replacing=None)

    with ThreadPoolExecutor(2) as pool:
        promoted = dict(zip("12", pool.map(promote, "12"), strict=True))
    assert sorted(promoted.values()) == [False, True]
    assert promoted[champion(season)]


def test_a_better_version_is_promoted(season):
    assert promote_if_better(season, "1", Judge(BETTER)) == (BETTER, "the base")
    assert champion(season) == "1"


def test_a_worse_version_is_not(season):
    assert promote_if_better(season, "1", Judge(WORSE))[0].verdict == "rejected"
    assert champion(season) is None


def test_a_version_is_judged_again_when_the_champion_changed_meanwhile(season):
    another = Judge(BETTER, lambda asked: asked == 1 and registry.promote(season, "2", replacing=None))
    assert promote_if_better(season, "1", another)[0].verdict == "promoted"
    assert another.against == [None, "2"]
    assert champion(season) == "1"


def test_a_champion_that_changes_on_and_on_leaves_the_verdict_open(season):
    def promote_another(asked):
        registry.promote(season, "23"[asked % 2], replacing=registry.champion(season))

    gate, _ = promote_if_better(season, "1", restless := Judge(BETTER, promote_another))
    assert (gate.verdict, len(restless.against)) == ("inconclusive", 3)
    assert "The champion changed 3 times" in gate.reason
    assert champion(season) != "1"


def test_a_champion_that_cannot_be_served_can_be_replaced(model_folder, adapter_folder, log, tmp_path):
    gone = registry.resolve(str(model_folder(tmp_path / "gone")))
    for value in (1.0, 2.0):
        log(adapter_folder(tmp_path / str(value), gone, value), "stranded")
    registry.promote("stranded", "1", replacing=None)
    (tmp_path / "gone").rename(tmp_path / "elsewhere")
    assert promote_if_better("stranded", "2", Judge(BETTER)) == (BETTER, "the base")
    assert champion("stranded") == "2"


def test_default_names_are_readable_and_legal():
    name = registry.default_registered_name("verdict", "file:/data/support.db/tickets")
    assert name.startswith("verdict-tickets-")
    mlflow.MlflowClient().create_registered_model(name)


def test_two_tables_never_share_a_name():
    names = {
        registry.default_registered_name(task, location)
        for task in ("verdict", "intent")
        for location in ("/data/a/tickets", "/data/b/tickets")
    }
    assert len(names) == 4


@pytest.mark.parametrize("location", ["file:/data/tickets/", "file:///data/tickets"])
def test_one_table_has_one_name_however_its_location_is_written(location):
    expected = registry.default_registered_name("verdict", "/data/tickets")
    assert registry.default_registered_name("verdict", location) == expected


@pytest.mark.parametrize("location", ["", "/", "/data/таблица", "/data/" + "x" * 500])
def test_odd_locations_still_give_a_name(location):
    name = registry.default_registered_name("v" * 300, location)
    assert len(name) < 250
    assert name.isascii()


def test_a_run_says_promoted_when_the_version_is():
    client = mlflow.MlflowClient()
    with registry.start_run("tuning", experiment="tests") as run:
        log_gate(run, BETTER, "the base", 0.5)
        assert client.get_run(run.id).data.tags["gate.verdict"] == "promoting"
        log_verdict(run, replace(BETTER, verdict="inconclusive", reason="The champion changed 3 times."))
        assert client.get_run(run.id).data.tags["gate.verdict"] == "inconclusive"
        assert client.get_run(run.id).data.tags["gate.reason"] == "The champion changed 3 times."


def test_what_an_earlier_attempt_promoted_keeps_its_verdict(season):
    with registry.start_run("tuning", experiment="tests") as run:
        log_gate(run, BETTER, "the base", 0.5)
        registry.promote(season, "1", replacing=None)
        assert promoted_before(run, season, "1") is None  # it is the first attempt
    with registry.start_run("", experiment="", run_id=run.id) as again:
        assert promoted_before(again, season, "1") == (BETTER, "the base")
        assert promoted_before(again, season, "2") is None
