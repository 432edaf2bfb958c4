"""The doctor on a machine where much is missing."""

import sqlite3
from contextlib import redirect_stdout
from io import StringIO

import pytest

from sparklabel.cli import doctor


@pytest.fixture(scope="module")
def bare_machine(tmp_path_factory):
    """An environment without Java, with empty caches, in an empty folder."""
    home = tmp_path_factory.mktemp("bare")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JAVA_HOME", "HOME", "SPARKLABEL_CACHE"):
            patch.setenv(name, str(home))
        patch.delenv("SPARKLABEL_JARS", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(home)
        yield home


@pytest.fixture(scope="module")
def report(bare_machine):
    """(exit status, the printed report, the checks by name)"""
    printed = StringIO()
    with redirect_stdout(printed):
        status = doctor.run_doctor()
    return status, printed.getvalue(), {one.name: one for one in doctor.check()}


def test_without_java_the_main_job_cannot_run(report):
    status, printed, checks = report
    assert status == 2
    assert checks["Java"].status == "fail"
    assert "Labeling a table cannot run here yet." in printed


def test_every_check_that_fails_says_what_to_do(report):
    assert all(one.fix for one in report[2].values() if one.status != "ok")


def test_jars_that_were_not_fetched_are_named_with_the_command(report):
    assert report[2]["Delta jars"].fix == "Run: sparklabel fetch"


def test_what_works_is_told_with_its_version(report):
    checks = report[2]
    assert checks["Python"].status == "ok"
    assert "threads" in checks["Torch"].detail or "cuda" in checks["Torch"].detail


def test_the_doctor_creates_nothing(report, bare_machine):
    assert not (bare_machine / "mlflow.db").exists()
    assert not (bare_machine / "jars").exists()


def store(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return doctor.mlflow_store()


def test_a_folder_as_mlflow_store_is_warned_of(monkeypatch, tmp_path):
    assert store(monkeypatch, tmp_path.as_uri()).status == "warn"


def test_a_file_that_is_no_database_is_warned_of(monkeypatch, tmp_path):
    (tmp_path / "mlflow.db").write_text("this is not a database at all" * 100)
    assert store(monkeypatch, f"sqlite:///{tmp_path}/mlflow.db").status == "warn"


def test_experiments_of_a_store_are_counted(monkeypatch, tmp_path):
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("CREATE TABLE experiments (id INT)")
        database.execute("INSERT INTO experiments VALUES (1), (2)")
    database.close()
    assert store(monkeypatch, f"sqlite:///{tmp_path}/mlflow.db").detail.endswith("experiments: 2")


def test_a_server_that_does_not_answer_is_warned_of_without_its_password(monkeypatch):
    found = store(monkeypatch, "http://user:secret@127.0.0.1:9")
    assert found.status == "warn"
    assert "secret" not in found.detail
