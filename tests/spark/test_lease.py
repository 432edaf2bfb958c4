"""Two passes on the same rows: the second is told who works there; what a dead one left holds nobody up."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from sparklabel import passes
from sparklabel.errors import ConflictError
from sparklabel.labeling import plan
from sparklabel.labeling.executor import ensure_columns, staging_of
from sparklabel.labeling.request import PassRequest
from sparklabel.labeling.state.lease import Holder, Lease
from sparklabel.machine import process_start
from sparklabel.sql import sql_string
from sparklabel.table.row_states import Scope
from sparklabel.table.shards import Shard
from sparklabel.table.task_table import open_task_table
from sparklabel.udf import labeler_spec


@pytest.fixture
def running(spark, forty, task):
    """A pass with its staging open, which may hold a lease on `forty`."""

    def start(shard=None):
        spec, table = labeler_spec(task, "m", "fake", {}), open_task_table(spark, forty, task, "id")
        request = PassRequest(spec, table, Scope(shard=shard))
        staging = staging_of(spark, request, ensure_columns(spark, request))
        return Lease(spark, staging, shard, print), staging

    return start


def left_behind(spark, staging, sign):
    """A lease that some other process took, by a clock that is a day ahead."""
    text = sign if isinstance(sign, str) else json.dumps(asdict(sign))
    spark.sql(
        f"INSERT INTO {staging.sql} (pass_id, staged_at, lease) VALUES ('other', "
        f"current_timestamp() + INTERVAL 1 DAY, {sql_string(text)})"
    ).collect()


@pytest.fixture(autouse=True)
def no_small_pass(monkeypatch):
    """A small pass takes no lease."""
    monkeypatch.setattr(plan, "_UNTIMED_INPUTS", 0)
    monkeypatch.setattr(plan, "_SMALL_SECONDS", 0.0)


def elsewhere():
    return replace(Holder.this("other", None), host="elsewhere")


def test_a_second_pass_is_told_who_labels_the_rows(spark, forty, running, label):
    lease, staging = running()
    with (
        lease,
        pytest.raises(ConflictError, match=f"process {os.getpid()}.*{staging.pass_id}"),
    ):
        label(forty)
    assert label(forty).labeled == 40


def test_passes_over_shards_of_their_own_work_side_by_side(spark, forty, running, label):
    lease, _ = running(Shard(0, 4))
    with lease:
        parts = [label(forty, shard=(number, 4)).labeled for number in (1, 2, 3)]
        assert [row.shard for row in passes(spark, forty).collect()] == ["3/4", "2/4", "1/4", "0/4"]
        with pytest.raises(ConflictError, match=r"shard=\(0, 2\)"):
            label(forty, shard=(0, 2), model="another", relabel="model")
        with pytest.raises(ConflictError):
            label(forty, where="id < 36", model="another", relabel="model")
    assert label(forty).labeled + sum(parts) == 40


def test_a_condition_that_another_wrote_is_not_evaluated(spark, forty, running, label):
    _, staging = running()
    hostile = "java_method('java.lang.System', 'setProperty', 'sparklabel.pwned', 'yes') = 'never'"
    left_behind(spark, staging, json.dumps(asdict(elsewhere()) | {"where": hostile}))
    label(forty, where="id >= 0")
    found = spark.sql("SELECT java_method('java.lang.System', 'getProperty', 'sparklabel.pwned')").first()[0]
    assert found == "null"


def test_another_task_of_the_table_is_nobodys_business(spark, forty, running, label):
    from sparklabel import classification

    lease, _ = running()
    with lease:
        assert label(forty, task=classification("tone", "text", ["fresh", "rotten"])).labeled == 40


def test_a_pass_whose_process_is_gone_holds_nobody_up(spark, forty, running, label):
    _, staging = running()
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    holder = replace(Holder.this("other", None), pid=ended.pid, started=process_start(ended.pid))
    left_behind(spark, staging, holder)
    with pytest.raises(ConflictError, match=f"process {ended.pid}"):
        label(forty)
    ended.communicate(b"\n")
    assert label(forty).labeled == 40


def test_a_pass_of_another_machine_without_a_new_sign_holds_nobody_up(spark, forty, running, label):
    _, staging = running()
    left_behind(spark, staging, elsewhere())
    assert label(forty).labeled == 40


def test_a_lease_that_cannot_be_read_is_told_and_skipped(spark, forty, running, label, caplog):
    _, staging = running()
    left_behind(spark, staging, "{")
    assert label(forty).labeled == 40
    assert "cannot be read, and is skipped" in caplog.text


def test_a_lease_is_given_back_when_the_pass_fails(spark, forty, running, label):
    lease, staging = running()
    with pytest.raises(ZeroDivisionError), lease:
        raise ZeroDivisionError
    assert spark.sql(f"SELECT * FROM {staging.sql}").count() == 0


def test_a_lease_that_could_not_be_taken_to_its_end_is_given_back(spark, forty, running, monkeypatch):
    lease, staging = running()
    monkeypatch.setattr(lease, "_others", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lease.__enter__()
    assert spark.sql(f"SELECT * FROM {staging.sql}").count() == 0
