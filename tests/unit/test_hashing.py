"""Hashes of files and folders: what is in them, what is not, and when a file is read again."""

import hashlib
import os

import pytest

from sparklabel.hashing import _hash_file, file_sha256, files_sha256, tree_sha256


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    (made / "sub").mkdir(parents=True)
    (made / "b").write_bytes(b"two")
    (made / "sub" / "a").write_bytes(b"one")
    return made


def test_a_files_hash_is_that_of_its_content(folder):
    assert file_sha256(folder / "b") == hashlib.sha256(b"two").hexdigest()


def test_a_folders_hash_never_changes_between_releases(folder):
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"one", b"two"))
    assert tree_sha256(folder) == hashlib.sha256(f"b\0{two}\nsub/a\0{one}\n".encode()).hexdigest()


def test_of_a_folder_only_the_files_count_that_are_named(folder):
    two = hashlib.sha256(b"two").hexdigest()
    named = [folder / "b", folder / "sub", folder / "missing"]
    assert files_sha256(folder, named) == hashlib.sha256(f"b\0{two}\n".encode()).hexdigest()


def test_the_hash_of_a_file_may_come_from_elsewhere(folder):
    noted = files_sha256(folder, [folder / "b"], lambda path: f"noted of {path.name}")
    assert noted == hashlib.sha256(b"b\0noted of b\n").hexdigest()


def test_a_file_that_is_as_it_was_is_not_read_again(folder):
    _hash_file.cache_clear()
    file_sha256(folder / "b")
    file_sha256(folder / "b")
    assert _hash_file.cache_info().misses == 1


def test_a_file_is_read_again_when_its_size_changed(folder):
    file = folder / "b"
    file_sha256(file)
    file.write_bytes(b"three")
    assert file_sha256(file) == hashlib.sha256(b"three").hexdigest()


def test_a_file_is_read_again_when_its_time_changed(folder):
    file = folder / "b"
    file_sha256(file)
    status = file.stat()
    file.write_bytes(b"six")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert file_sha256(file) == hashlib.sha256(b"six").hexdigest()


def test_another_file_in_the_place_of_one_is_read_though_its_size_and_time_are_the_same(folder):
    file, other = folder / "b", folder / "other"
    file_sha256(file)
    status = file.stat()
    other.write_bytes(b"six")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(file)
    assert file_sha256(file) == hashlib.sha256(b"six").hexdigest()
