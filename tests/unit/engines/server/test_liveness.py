"""For whom an engine's process works, and on which GPU."""

import os
import subprocess
import sys

import pytest

from sparklabel.engines.server import gpus as devices
from sparklabel.engines.server.gpus import gpu_uuid, parse_gpus, visible_gpu
from sparklabel.engines.server.liveness import ClientProcesses, owner_pid


def test_owners_that_ended_are_no_owners():
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    clients = ClientProcesses(ended.pid)
    assert clients.any_alive()
    ended.kill()
    ended.wait()
    ended.stdin.close()
    assert not clients.any_alive()


def test_an_owner_that_ended_and_was_not_waited_for_is_no_owner():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ended:
        clients = ClientProcesses(ended.pid)
        ended.kill()
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert not clients.any_alive()


def test_one_owner_of_two_is_enough():
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    clients = ClientProcesses(ended.pid)
    clients.add(os.getpid())
    ended.communicate(b"\n")
    assert clients.any_alive()


def test_a_process_of_no_executor_owns_its_engine_itself():
    assert owner_pid() == os.getpid()


def test_gpus_are_known_by_what_the_driver_says():
    assert parse_gpus("0, GPU-5f\n1, GPU-6a\n") == {"0": "GPU-5f", "1": "GPU-6a"}


@pytest.fixture
def gpus(monkeypatch):
    """A host with four."""
    monkeypatch.setattr(
        devices, "_gpus", lambda: {"0": "GPU-5f", "1": "GPU-6a", "2": "GPU-7b", "3": "GPU-8c"}
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("address", "uuid"),
    [
        ("2", "GPU-7b"),
        ("GPU-7b", "GPU-7b"),
        ("GPU-7", "GPU-7b"),
        ("GPU-", None),
        ("9", None),
        ("MIG-1", "MIG-1"),
    ],
)
@pytest.mark.usefixtures("gpus")
def test_an_address_is_a_number_among_all_or_a_name(address, uuid):
    assert gpu_uuid(address) == uuid


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [("3,1", ["GPU-8c", "GPU-6a", None]), ("MIG-7", ["MIG-7", None]), ("", [None]), ("-1,2", [None, None])],
)
def test_torch_counts_what_is_visible(gpus, visible, uuids):
    gpus.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [visible_gpu(number) for number in range(len(uuids))] == uuids


@pytest.mark.usefixtures("gpus")
def test_without_a_choice_all_are_visible():
    assert (visible_gpu(), visible_gpu(3)) == ("GPU-5f", "GPU-8c")
