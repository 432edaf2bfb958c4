"""Hashes of files and folders: what is in them, what is not, and when a file is read again."""

import hashlib
import os

import pytest

from sparklabel.hashing import file_sha256, files_sha256, tree_sha256


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


def test_a_file_is_read_again_when_its_size_or_its_time_changed(folder):
    file = folder / "b"
    before, status = file_sha256(file), file.stat()
    file.write_bytes(b"six")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file_sha256(file) == before, "a file of the same size and time is not read"
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert file_sha256(file) == hashlib.sha256(b"six").hexdigest()
