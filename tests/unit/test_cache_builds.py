"""Folders in the cache: built once, and as they were built."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sparklabel.cache_builds import build_once
from sparklabel.cache_dir import cache_dir, cache_folder
from sparklabel.errors import ModelError, SetupError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a model is to be built."""
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SPARKLABEL_TRUST_CACHE", raising=False)
    return cache_folder("models") / "model"


def write(to):
    (to / "file").write_text("made")


def test_a_folder_is_built_once_by_whoever_comes_first(folder):
    built = []

    def build(to):
        built.append(to)
        (to / "file").write_text("made")

    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: build_once(folder, build), range(8)))
    assert (len(built), set(folders)) == (1, {folder})
    assert (folder / "file").read_text() == "made"


def test_a_build_that_fails_leaves_nothing_behind(folder):
    def fail(to):
        (to / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        build_once(folder, fail)
    assert [path.name for path in folder.parent.iterdir()] == ["model.lock"]


def test_what_was_built_is_not_built_again(folder):
    build_once(folder, write)
    assert build_once(folder, pytest.fail) == folder


def test_a_folder_that_somebody_put_there_is_built_anew(folder):
    folder.mkdir()
    (folder / "file").write_text("planted")
    assert (build_once(folder, write) / "file").read_text() == "made"


def test_a_folder_that_a_link_leads_to_is_left_alone(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("planted")
    folder.symlink_to(elsewhere)
    assert (build_once(folder, write) / "file").read_text() == "made"
    assert (elsewhere / "file").read_text() == "planted"


@pytest.mark.parametrize("name", ["file", "another"])
def test_a_folder_that_was_changed_since_is_refused(folder, name):
    build_once(folder, write)
    (folder / name).write_text("other")
    with pytest.raises(ModelError, match="was changed since it was built"):
        build_once(folder, write)


def test_a_built_folder_that_others_may_write_is_refused(folder):
    build_once(folder, write).chmod(0o777)
    with pytest.raises(SetupError, match="can be written by its group and all users"):
        build_once(folder, write)


def test_a_folder_in_the_cache_is_made_for_this_user_alone(folder):
    build_once(folder, lambda to: to.chmod(0o777))
    modes = {path.stat().st_mode & 0o777 for path in (folder, folder.parent, cache_dir())}
    assert modes == {0o700}


def test_what_a_killed_build_left_is_removed_by_the_next(folder):
    left = folder.with_name(".model-ab_12xyz")
    left.mkdir()
    (left / "half").write_text("x")
    build_once(folder, write)
    assert not left.exists()


@pytest.mark.parametrize("name", [".model-2-ab_12xyz", ".other-ab_12xyz", "model-ab_12xyz", ".model-notes"])
def test_what_others_build_is_left_alone(folder, name):
    folder.with_name(name).mkdir()
    build_once(folder, write)
    assert folder.with_name(name).is_dir()
