"""Where the process that serves a model is found: whose folder it is, what is one endpoint, and who may be killed."""

import importlib.util
import os
import signal
import stat
import sys
import tempfile
import zipimport
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest

from sparklabel.engines import EngineSpec, engine_spec
from sparklabel.engines.server import Endpoint, ServingSpec
from sparklabel.engines.server import endpoint as endpoint_module
from sparklabel.engines.server.endpoint import device_endpoint, isolation_lock, refusal
from sparklabel.errors import SetupError
from sparklabel.machine import process_start

FAKE = ServingSpec(EngineSpec("fake"), "fake:m", None)
ON_GPU = replace(FAKE, device="GPU-1")
MODULE = Path("sparklabel/engines/server/endpoint.py")


@pytest.fixture
def home():
    """A folder for endpoints. Not pytest's: its paths are too long for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def endpoint(home):
    return Endpoint.of(FAKE, home)


@pytest.fixture
def occupied(endpoint):
    """The same, with this process in the place of one that serves a model."""
    endpoint.publish(served="fake:m")
    with endpoint.occupy():
        yield endpoint


@pytest.fixture
def killed(monkeypatch):
    """The processes that were sent a signal, which none receives."""
    sent = []
    monkeypatch.setattr(os, "kill", lambda *number_and_signal: sent.append(number_and_signal))
    return sent


@pytest.fixture
def default_home(home, monkeypatch):
    """Where endpoints are unless the caller says otherwise."""
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    return home / f"sparklabel-{os.getuid()}"


def loaded(spec):
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def installed(folder):
    """The module as it is in another installation, which has nothing else yet."""
    copy = folder / MODULE
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(Path(endpoint_module.__file__).read_text("utf-8"), "utf-8")
    return loaded(importlib.util.spec_from_file_location("endpoint_elsewhere", copy))


def key_by(module):
    return module.ServingSpec(FAKE.engine, FAKE.model, None).key


@pytest.mark.parametrize(
    "other",
    [
        replace(FAKE, engine=EngineSpec("transformers")),
        replace(FAKE, engine=engine_spec("fake", {"fail_on": "rotten"})),
        replace(FAKE, model="fake:other"),
        ON_GPU,
    ],
    ids=["engine", "options", "model", "device"],
)
def test_what_is_served_and_where_makes_the_key(other):
    assert other.key != FAKE.key
    assert replace(other).key == other.key


def test_another_environment_is_another_key(monkeypatch):
    here = FAKE.key
    monkeypatch.setattr(sys, "prefix", "/another/.venv")
    assert FAKE.key != here


def test_the_folder_of_the_model_is_no_part_of_the_key():
    assert replace(FAKE, base=Path("/model")).key == FAKE.key


def test_other_code_is_another_key(tmp_path):
    before = key_by(installed(tmp_path))
    (tmp_path / "sparklabel" / "notes.txt").write_text("not code")
    (tmp_path / "other.py").write_text("not ours")
    assert key_by(installed(tmp_path)) == before
    (tmp_path / "sparklabel" / "tasks.py").write_text("x = 1")
    assert key_by(installed(tmp_path)) != before


def test_code_that_changes_while_it_runs_is_what_was_loaded(tmp_path):
    module = installed(tmp_path)
    before = key_by(module)
    (tmp_path / "sparklabel" / "tasks.py").write_text("x = 1")
    assert key_by(module) == before


def test_other_code_in_a_zip_is_another_key(tmp_path):
    keys = set()
    for content in ("x = 1", "x = 2"):
        archive = tmp_path / f"{content[-1]}.zip"
        with ZipFile(archive, "w") as file:
            file.write(endpoint_module.__file__, MODULE)
            file.writestr("sparklabel/tasks.py", content)
        keys.add(key_by(loaded(zipimport.zipimporter(str(archive / MODULE.parent)).find_spec("endpoint"))))
    assert len(keys) == 2


def test_a_gpu_has_one_endpoint_and_without_a_gpu_each_model_has_its_own(home):
    models = [FAKE, replace(FAKE, model="fake:other")]
    assert [Endpoint.of(one, home).folder for one in models] == [home / f"cpu-{one.key}" for one in models]
    on_gpu = [replace(one, device="GPU-1") for one in models]
    assert {Endpoint.of(one, home).folder for one in on_gpu} == {home / "GPU-1"}
    assert len({Endpoint.of(one, home).socket for one in on_gpu}) == 2


def test_the_files_of_an_endpoint_are_in_its_folder(endpoint):
    assert endpoint.lock == endpoint.folder / "lock"
    assert endpoint.log == endpoint.folder / "log"
    assert endpoint.socket == endpoint.folder / f"s{FAKE.key[:8]}"


def test_endpoints_are_in_the_users_folder_for_temporary_files(default_home):
    endpoint = Endpoint.of(ON_GPU)
    assert endpoint.folder == default_home / "GPU-1"
    endpoint.publish()
    assert device_endpoint("GPU-1") == endpoint


@pytest.mark.usefixtures("default_home")
def test_endpoints_are_in_the_folder_that_is_given(home):
    endpoint = Endpoint.of(ON_GPU, home / "given")
    assert endpoint.folder == home / "given" / "GPU-1"
    endpoint.publish()
    assert device_endpoint("GPU-1", home / "given") == endpoint


def test_tasks_that_look_for_a_row_that_kills_a_models_engine_meet_at_one_file(default_home):
    assert isolation_lock("fake:m") == default_home / f"isolating-{sha256(b'fake:m').hexdigest()[:16]}"
    assert default_home.is_dir()


def test_folders_are_made_closed_to_others(default_home):
    before = os.umask(0)
    try:
        folder = Endpoint.of(FAKE).folder
    finally:
        os.umask(before)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (default_home, folder)] == [0o700, 0o700]


def test_a_path_of_more_than_100_bytes_is_too_long_for_a_socket(home):
    bytes_left = 100 - len(os.fsencode(home / "é" / f"cpu-{'k' * 16}" / f"s{'k' * 8}"))
    longest = home / f"é{'x' * bytes_left}"
    assert len(os.fsencode(Endpoint.of(FAKE, longest).socket)) == 100
    with pytest.raises(SetupError, match=r"too long for a socket.*\n.*TMPDIR"):
        Endpoint.of(FAKE, longest.with_name(f"{longest.name}x"))


def test_facts_are_of_the_process_that_publishes_them(endpoint):
    endpoint.publish(served="fake:m", loading=True)
    own = {"key": FAKE.key, "pid": os.getpid(), "born": process_start(os.getpid())}
    assert endpoint.facts() == own | {"served": "fake:m", "loading": True}
    endpoint.publish(loading=False)
    assert endpoint.facts() == own | {"loading": False}
    assert [file.name for file in endpoint.folder.iterdir()] == ["facts.json"], (
        "written elsewhere, then moved"
    )


@pytest.mark.parametrize("written", [None, b"", b"{", b"\xff"])
def test_where_nobody_published_there_are_no_facts(written, endpoint):
    if written is not None:
        (endpoint.folder / "facts.json").write_bytes(written)
    assert endpoint.facts() == {}
    assert endpoint.resident == Endpoint(endpoint.folder, "")


def test_an_endpoint_is_occupied_by_one_process_until_it_leaves(endpoint):
    assert not endpoint.is_occupied
    with endpoint.occupy():
        assert endpoint.is_occupied
        assert endpoint.occupy() is None
    assert not endpoint.is_occupied
    assert (endpoint.folder / "alive").exists()


def test_the_process_that_serves_is_killed(occupied, killed):
    occupied.kill()
    assert killed == [(os.getpid(), signal.SIGKILL)]


def test_nobody_is_killed_where_nobody_serves(endpoint, killed):
    endpoint.publish()
    endpoint.kill()
    assert killed == []


@pytest.mark.parametrize("wrong", [{"pid": 1}, {"born": "long ago"}, {"pid": 0, "born": ""}, {"pid": None}])
def test_a_process_that_was_not_born_when_it_was_noted_is_not_killed(wrong, occupied, killed):
    """Its number was given to another one, or is none: 0 would be every process of this group."""
    occupied.publish(**wrong)
    occupied.kill()
    assert killed == []


def test_a_process_that_ends_before_it_is_killed_is_no_error(occupied, monkeypatch):
    def kill(*_):
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", kill)
    occupied.kill()


def test_sockets_that_were_left_are_removed_and_nothing_else(home):
    one, other = (Endpoint.of(replace(ON_GPU, model=model), home) for model in ("a", "b"))
    kept = (one.lock, one.log, one.folder / "facts.json", one.folder / "alive")
    for file in (one.socket, other.socket, *kept):
        file.touch()
    one.remove_sockets()
    assert set(one.folder.iterdir()) == set(kept)


def test_the_other_endpoints_of_a_user_are_known_by_what_they_serve(endpoint, home):
    assert list(endpoint.peers()) == []
    on_gpu = Endpoint.of(ON_GPU, home)
    on_gpu.publish()
    assert list(endpoint.peers()) == [on_gpu]
    assert list(on_gpu.peers()) == [Endpoint(endpoint.folder, "")]


def test_a_gpu_on_which_this_user_served_nothing_has_no_endpoint(home):
    assert device_endpoint("GPU-1", home) is device_endpoint("GPU-1", home / "none") is None


def test_a_gpu_is_not_looked_for_in_a_folder_that_others_may_enter(home):
    endpoint = Endpoint.of(ON_GPU, home)
    endpoint.publish()
    assert device_endpoint("GPU-1", home) == endpoint
    home.chmod(0o755)
    assert device_endpoint("GPU-1", home) is None


def test_a_folder_that_others_may_enter_is_refused(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(SetupError, match="is open to other users"):
        Endpoint.of(FAKE, folder)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("place", [".", "inside"])
def test_a_folder_of_another_user_is_refused(place, home):
    name = f"cpu-{FAKE.key}" if place == "inside" else "."
    (home / name).mkdir(mode=0o700, exist_ok=True)
    os.chown(home / name, 4711, 4711)
    with pytest.raises(SetupError, match="belongs to another user"):
        Endpoint.of(FAKE, home)


@pytest.mark.parametrize(
    ("owner", "mode", "private"),
    [
        (1000, stat.S_IFDIR | 0o700, True),
        (1001, stat.S_IFDIR | 0o700, False),
        (0, stat.S_IFDIR | 0o700, False),
        (1000, stat.S_IFLNK | 0o700, False),
        (1000, stat.S_IFREG | 0o700, False),
        (1000, stat.S_IFDIR | 0o710, False),
        (1000, stat.S_IFDIR | 0o701, False),
    ],
)
def test_a_folder_is_private_if_it_is_ones_own_and_no_link_and_closed_to_others(owner, mode, private):
    assert (refusal(SimpleNamespace(st_uid=owner, st_mode=mode), 1000) == "") is private


def test_a_link_in_the_place_of_the_folder_is_refused_wherever_it_leads(tmp_path):
    (tmp_path / "ours").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    with pytest.raises(SetupError, match="is not a folder"):
        Endpoint.of(FAKE, tmp_path / "link")


def test_a_link_in_the_place_of_an_engine_is_refused_wherever_it_leads(home, tmp_path):
    (tmp_path / "ours").mkdir(mode=0o700)
    (home / f"cpu-{FAKE.key}").symlink_to(tmp_path / "ours")
    with pytest.raises(SetupError, match="is not a folder"):
        Endpoint.of(FAKE, home)


def test_a_link_or_an_open_folder_of_a_gpu_is_not_looked_into(home, tmp_path):
    (tmp_path / "ours").mkdir(mode=0o700)
    (home / "GPU-1").symlink_to(tmp_path / "ours")
    (home / "GPU-2").mkdir(mode=0o755)
    assert device_endpoint("GPU-1", home) is device_endpoint("GPU-2", home) is None
