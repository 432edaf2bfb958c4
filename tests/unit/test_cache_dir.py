"""Folders of the cache: built once, private, and as they were built."""

import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from sparklabel.cache_dir import build_once, cache_dir, cache_folder, check_private, writers
from sparklabel.errors import ModelError, SetupError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SPARKLABEL_TRUST_CACHE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def folder(cache):
    """Where a model is to be built."""
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


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o775, 0o1777])
@pytest.mark.parametrize("name", ["cache", "cache/models"])
def test_a_cache_that_others_may_write_is_refused(cache, name, mode):
    cache_folder("models")
    (cache.parent / name).chmod(mode)
    with pytest.raises(
        SetupError, match=r"can be written by (its group|all users|its group and all)"
    ) as caught:
        cache_folder("models")
    assert f"chmod go-w {cache.parent / name}" in caught.value.hint


def test_a_built_folder_that_others_may_write_is_refused(folder):
    build_once(folder, write).chmod(0o777)
    with pytest.raises(SetupError, match="can be written by its group and all users"):
        build_once(folder, write)


def test_a_folder_in_the_cache_is_made_for_this_user_alone(folder):
    build_once(folder, lambda to: to.chmod(0o777))
    modes = {path.stat().st_mode & 0o777 for path in (folder, folder.parent, cache_dir())}
    assert modes == {0o700}


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o555])
def test_others_may_read_the_cache(cache, mode):
    cache_folder("models").chmod(mode)
    assert cache_folder("models") == cache / "models"


def test_who_can_write_the_cache_can_be_trusted(cache, monkeypatch):
    cache_folder("models").chmod(0o777)
    monkeypatch.setenv("SPARKLABEL_TRUST_CACHE", "1")
    assert cache_folder("models") == cache / "models"


@pytest.mark.parametrize(
    ("owner", "mode", "problem"),
    [
        (1000, 0o40755, ""),
        (0, 0o40755, ""),
        (1001, 0o40700, "belongs to the user 1001"),
        (1001, 0o40777, "belongs to the user 1001"),
        (0, 0o41777, "can be written by its group and all users"),
        (1000, 0o42775, "can be written by its group"),
    ],
)
def test_a_folder_is_ones_own_if_oneself_and_root_alone_may_write_it(owner, mode, problem):
    assert writers(SimpleNamespace(st_uid=owner, st_mode=mode), 1000) == problem


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_refused(cache):
    os.chown(cache_folder("models"), 4711, 4711)
    with pytest.raises(SetupError, match="belongs to the user 4711"):
        check_private(cache / "models")


def test_a_cache_that_cannot_be_made_is_named(cache):
    cache.write_text("a file")
    with pytest.raises(SetupError, match=r"The cache folder .*cache/models cannot be created"):
        cache_folder("models")
