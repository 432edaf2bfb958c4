"""Hashes of large files: computed once a host, and never those of other files."""

import os
from hashlib import sha256

import pytest

from sparklabel.cache_dir import cache_folder
from sparklabel.hashing import _hash_file, tree_sha256
from sparklabel.host_hashes import host_file_sha256, host_tree_sha256


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(b"tensors")
    return file


def another_process():
    """What this process has read is forgotten."""
    _hash_file.cache_clear()


def look(file, settled=-1.0):
    """The hash as a process finds it that has just started; by default however new the file is."""
    another_process()
    return host_file_sha256(file, small=0, settled=settled)


def notes(cache):
    return [path for path in (cache / "hashes").iterdir() if path.suffix != ".lock"]


def forge(cache):
    """Changes the one note so that whoever relies on it can be told."""
    (note,) = notes(cache)
    note.write_text(note.read_text().replace(sha256(b"tensors").hexdigest(), "noted"))


def test_a_file_is_hashed_once_a_host(weights, cache):
    assert look(weights) == sha256(b"tensors").hexdigest()
    forge(cache)
    assert look(weights) == "noted"


def test_a_file_that_changed_is_hashed_again_even_if_its_size_and_time_are_set_back(weights, cache):
    look(weights)
    forge(cache)
    before = weights.stat()
    weights.write_bytes(b"TENSORS")
    while weights.stat().st_ctime_ns == before.st_ctime_ns:  # until the file system's clock has ticked
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert look(weights) == sha256(b"TENSORS").hexdigest()


def test_another_file_in_the_place_of_one_is_hashed_again(weights, cache, tmp_path):
    look(weights)
    forge(cache)
    (tmp_path / "other").write_bytes(b"TENSORS")
    (tmp_path / "other").rename(weights)
    assert look(weights) == sha256(b"TENSORS").hexdigest()


def test_a_file_of_another_place_has_its_own_note(weights, cache, tmp_path):
    look(weights)
    (tmp_path / "link").hardlink_to(weights)
    look(tmp_path / "link")
    assert len(notes(cache)) == 2


def test_a_file_that_has_just_changed_is_not_noted(weights, cache):
    assert look(weights, settled=3600.0) == sha256(b"tensors").hexdigest()
    assert notes(cache) == []


def test_a_small_file_is_not_noted(weights, cache):
    assert host_file_sha256(weights) == sha256(b"tensors").hexdigest()
    assert not cache.exists()


@pytest.mark.parametrize("spoiled", ["", "{", "[1]", '[[1], "noted"]', "[]", "1"])
def test_a_note_that_cannot_be_read_does_not_count(weights, cache, spoiled):
    look(weights)
    (note,) = notes(cache)
    note.write_text(spoiled)
    assert look(weights) == sha256(b"tensors").hexdigest()


def test_a_note_in_a_cache_that_others_may_write_does_not_count(weights, cache):
    look(weights)
    forge(cache)
    cache_folder("hashes").chmod(0o777)
    assert look(weights) == sha256(b"tensors").hexdigest()


def test_a_folder_has_the_same_hash_as_ever(tmp_path):
    (tmp_path / "model" / "part").mkdir(parents=True)
    (tmp_path / "model" / "part" / "large").write_bytes(bytes(5 << 20))
    (tmp_path / "model" / "small").write_bytes(b"x")
    assert host_tree_sha256(tmp_path / "model") == tree_sha256(tmp_path / "model")
