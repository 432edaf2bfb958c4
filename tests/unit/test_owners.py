"""For whom an engine's process works, and on which GPU."""

import os
import subprocess
import sys

from sparklabel.engines.server.devices import parse_gpus
from sparklabel.engines.server.owners import Owners, owner_pid


def test_owners_that_ended_are_no_owners():
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owners = Owners(ended.pid)
    assert owners.any_alive()
    ended.kill()
    ended.wait()
    ended.stdin.close()
    assert not owners.any_alive()


def test_one_owner_of_two_is_enough():
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owners = Owners(ended.pid)
    owners.add(os.getpid())
    ended.communicate(b"\n")
    assert owners.any_alive()


def test_a_process_of_no_executor_owns_its_engine_itself():
    assert owner_pid() == os.getpid()


def test_gpus_are_known_by_what_the_driver_says():
    assert parse_gpus("0, GPU-5f\n1, GPU-6a\n") == {"0": "GPU-5f", "1": "GPU-6a"}
