"""Engines on a GPU see each other across users, and nothing else comes of it."""

import fcntl
import os
import subprocess
import sys

import pytest

from sparklabel.engines.server.gpu_presence import enter_gpu

FILE = "sparklabel-gpu-GPU-1"
ENTER = (
    "import sys; from pathlib import Path; from sparklabel.engines.server.gpu_presence import enter_gpu\n"
    "print(enter_gpu(sys.argv[1], Path(sys.argv[2])), flush=True); sys.stdin.read()"
)


@pytest.fixture
def engine(tmp_path):
    """Starts a process that enters the GPU and stays: whether it was alone. All end with the test."""
    started = []

    def enter(device="GPU-1"):
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", ENTER, device, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True,
            )
        )  # fmt: skip
        return started[-1].stdout.readline().strip() == "True"

    yield enter
    for process in started:
        process.communicate()


def test_the_first_engine_is_alone_and_the_others_are_not(engine):
    assert [engine(), engine(), engine(), engine("GPU-2")] == [True, False, False, True]


def test_an_engine_that_has_ended_is_no_longer_there(tmp_path):
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-c", ENTER, "GPU-1", str(tmp_path)], input="", capture_output=True, text=True
        )
        assert ended.stdout == "True\n"


def test_all_users_can_lock_the_file_and_none_can_write_it(tmp_path):
    before = os.umask(0o077)
    try:
        enter_gpu("GPU-1", tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o444


def test_a_file_of_another_user_is_not_written(tmp_path):
    (tmp_path / FILE).write_text("theirs")
    assert enter_gpu("GPU-1", tmp_path)
    assert (tmp_path / FILE).read_text() == "theirs"


def test_a_link_is_not_followed(tmp_path):
    """The lock of the file that it leads to is neither looked at nor taken."""
    (tmp_path / FILE).symlink_to(tmp_path / "victim")
    with (tmp_path / "victim").open("w") as victim:
        fcntl.flock(victim, fcntl.LOCK_EX)
        assert enter_gpu("GPU-1", tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / FILE)
    assert enter_gpu("GPU-1", tmp_path)


def test_a_name_that_leads_elsewhere_stays_in_the_folder(tmp_path):
    (tmp_path / "shared").mkdir()
    assert enter_gpu("x/../../GPU-1", tmp_path / "shared")
    assert [path.name for path in tmp_path.iterdir()] == ["shared"]


def test_a_host_without_shared_memory_has_no_warning(tmp_path):
    assert enter_gpu("GPU-1", tmp_path / "none")
