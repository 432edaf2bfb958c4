"""What the machine has, and what is said if something is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparklabel import machine

BANNERS = {
    'openjdk version "17.0.15" 2025-04-15': 17,
    'java version "1.8.0_392"': 8,
    'openjdk version "21" 2023-09-19': 21,
    "The operation couldn't be completed. Unable to locate a Java Runtime.": None,
}


def fake_java(home, banner):
    java = home / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{banner}\"' >&2\n")
    java.chmod(0o755)


@pytest.mark.parametrize(("banner", "major"), BANNERS.items())
def test_javas_banner_gives_its_major_version(banner, major):
    assert machine.parse_java_version(banner) == major


def test_java_is_the_one_in_java_home(tmp_path, monkeypatch):
    fake_java(tmp_path, "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert machine.java_version() == 11


def test_an_old_java_is_named_with_the_fix():
    problem = machine.java_problem(11)
    assert "Java 17 or newer is needed" in problem
    assert "is Java 11" in problem
    assert "openjdk-17" in problem


def test_a_missing_java_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    (line,) = machine.missing(tmp_path)
    assert "none was found" in line
    assert "\n" not in line


def test_memory_and_cores_are_counted():
    assert machine.memory_bytes() > 2**30
    assert machine.cores() >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="leases of earlier releases hold Linux's clock ticks")
def test_a_process_began_when_the_kernel_says_it_did():
    ticks = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    assert machine.process_start(os.getpid()) == ticks


def test_a_process_that_ended_began_never():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ended:
        assert machine.process_start(ended.pid) == machine.process_start(ended.pid) != ""
        ended.kill()
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # ended, and a zombie still
        assert machine.process_start(ended.pid) == ""
    assert machine.process_start(ended.pid) == ""
