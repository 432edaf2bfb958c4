"""Two passes on the same rows: the second is told who works there; what a dead one left holds nobody up."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from sparklabel.errors import ConflictError
from sparklabel.labeling.executor import ensure_columns, lease_of, staging_of
from sparklabel.labeling.request import PassRequest
from sparklabel.labeling.state.lease import Holder
from sparklabel.machine import process_start
from sparklabel.sql import sql_string
from sparklabel.table.row_states import Scope
from sparklabel.table.task_table import open_task_table
from sparklabel.udf import labeler_spec


@pytest.fixture
def running(spark, forty, task):
    """A pass with its staging open, which may hold a lease on `forty`."""

    def start(where=None):
        spec, table = labeler_spec(task, "m", "fake", {}), open_task_table(spark, forty, task, "id")
        request = PassRequest(spec, table, Scope(where=where))
        opened = ensure_columns(spark, request)
        staging = staging_of(spark, request, opened)
        return lease_of(spark, request, opened, staging), staging

    return start


def left_behind(spark, staging, holder, age="0 SECONDS"):
    """A lease that some other process took."""
    spark.sql(
        f"INSERT INTO {staging.sql} (pass_id, staged_at, lease) VALUES ('other', "
        f"current_timestamp() - INTERVAL {age}, {sql_string(json.dumps(asdict(holder)))})"
    ).collect()


def test_a_second_pass_is_told_who_labels_the_rows(spark, forty, running, label):
    lease, staging = running()
    with (
        lease,
        pytest.raises(ConflictError, match=f"process {os.getpid()}.*{staging.pass_id}"),
    ):
        label(forty)
    assert label(forty).labeled == 40


def test_passes_on_rows_of_their_own_work_side_by_side(spark, forty, running, label):
    lease, _ = running("id < 2")
    with lease:
        assert label(forty, where="id >= 2").labeled == 38
        with pytest.raises(ConflictError):
            label(forty, where="id < 36", model="another", relabel="model")


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


def test_a_pass_whose_process_lives_holds_its_rows_though_its_signs_are_late(spark, forty, running, label):
    _, staging = running()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        holder = replace(Holder.this("other", None), pid=living.pid, started=process_start(living.pid))
        left_behind(spark, staging, holder, age="5 MINUTES")
        with pytest.raises(ConflictError, match=rf"process {living.pid}.*last heartbeat is 3\d\d s old"):
            label(forty)


def test_a_pass_of_another_machine_that_is_silent_for_long_holds_nobody_up(spark, forty, running, label):
    _, staging = running()
    left_behind(spark, staging, replace(Holder.this("other", None), host="elsewhere"), age="6 MINUTES")
    assert label(forty).labeled == 40


def test_a_lease_is_given_back_when_the_pass_fails(spark, forty, running, label):
    lease, staging = running()
    with pytest.raises(ZeroDivisionError), lease:
        raise ZeroDivisionError
    assert spark.sql(f"SELECT * FROM {staging.sql}").count() == 0
