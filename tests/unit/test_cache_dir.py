"""The cache folder: this user's own."""

import os
from types import SimpleNamespace

import pytest

from sparklabel.cache_dir import cache_folder, check_private, writers
from sparklabel.errors import SetupError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SPARKLABEL_TRUST_CACHE", raising=False)
    return tmp_path / "cache"


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
