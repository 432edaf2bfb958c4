"""Delta's jars: fetched through Spark's own Ivy from a repository in a folder, checked, and found again."""

import shutil
from pathlib import Path

import pytest

from sparklabel.delta.jars import delta_jars, find_jars
from sparklabel.errors import SetupError

POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>io.delta</groupId><artifactId>{artifact}</artifactId><version>{version}</version></project>"""


@pytest.fixture(scope="module")
def jars():
    return delta_jars()


@pytest.fixture
def empty_cache(jars, tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))  # Ivy's caches are there
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", f"-Duser.home={tmp_path}")
    return tmp_path / "cache" / "jars"


def repository(folder, jars):
    for jar in jars:
        artifact, _, version = jar.stem.rpartition("-")
        home = folder / "io" / "delta" / artifact / version
        home.mkdir(parents=True)
        shutil.copy(jar, home / jar.name)
        (home / jar.with_suffix(".pom").name).write_text(POM.format(artifact=artifact, version=version))
    return folder.as_uri() + "/"


def test_the_jars_come_from_the_users_repository(empty_cache, jars, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", repository(tmp_path / "repository", jars))
    assert delta_jars() == tuple(empty_cache / jar.name for jar in jars)


def test_a_jar_that_is_not_the_expected_one_is_refused(empty_cache, jars, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", repository(tmp_path / "repository", jars))
    for jar in Path(tmp_path / "repository").rglob("delta-storage*.jar"):
        jar.write_bytes(b"something else")
    with pytest.raises(SetupError, match="checksum is not the one expected"):
        delta_jars()


def test_a_repository_without_the_jars_is_named(empty_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", (tmp_path / "nothing").as_uri() + "/")
    with pytest.raises(SetupError, match="could not be fetched") as caught:
        delta_jars()
    assert str(empty_cache) in caught.value.hint


def test_jars_put_by_hand_are_found(empty_cache, jars, tmp_path, monkeypatch):
    for jar in jars:
        shutil.copy(jar, tmp_path / f"io.delta_{jar.name}")
    monkeypatch.setenv("SPARKLABEL_JARS", str(tmp_path))
    assert find_jars() == tuple(tmp_path / f"io.delta_{jar.name}" for jar in jars)


def test_a_damaged_jar_is_not_found(empty_cache, jars):
    empty_cache.mkdir(parents=True)
    for jar in jars:
        (empty_cache / jar.name).write_bytes(b"half a download")
    assert find_jars() is None
