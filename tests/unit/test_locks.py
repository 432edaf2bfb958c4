"""Locks that say who holds them."""

import os

import pytest
from filelock import FileLock

from sparklabel.errors import EngineError, SetupError
from sparklabel.locks import held


def test_a_lock_that_stays_taken_is_named_with_its_holder(tmp_path):
    with (
        held(tmp_path / "lock", "builds a model"),
        pytest.raises(SetupError, match=r"/lock was not free within 0 seconds") as caught,
        held(tmp_path / "lock", "builds it too", patience=0.0),
    ):
        pytest.fail("two hold the lock")
    assert f"process {os.getpid()} on " in caught.value.message
    assert "which builds a model since 20" in caught.value.message
    assert "end it" in caught.value.hint


def test_a_holder_that_left_no_note_is_unknown(tmp_path):
    with (
        FileLock(tmp_path / "lock"),
        pytest.raises(EngineError, match="held by an unknown process"),
        held(tmp_path / "lock", "starts", patience=0.0, error=EngineError),
    ):
        pytest.fail("two hold the lock")


def test_a_note_of_a_process_that_was_killed_keeps_nobody_out(tmp_path):
    (tmp_path / "lock.holder").write_text("process 1 on a host, which was killed")
    with held(tmp_path / "lock", "builds"):
        assert (tmp_path / "lock.holder").read_text().startswith(f"process {os.getpid()} on ")


def test_a_lock_is_free_again_and_its_note_is_gone_after_an_error(tmp_path):
    with pytest.raises(OSError, match="disk full"), held(tmp_path / "lock", "builds"):
        raise OSError("disk full")
    with held(tmp_path / "lock", "builds", patience=0.0):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
