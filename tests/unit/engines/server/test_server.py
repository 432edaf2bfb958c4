"""One engine for many tasks, in a process of its own: real processes, with the fake engine and the tiny model."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from uuid import uuid4

import numpy as np
import psutil
import pytest

from sparklabel.engines import (
    EngineSpec,
    GenerationRequest,
    HiddenStatesRequest,
    ScoringRequest,
    engine_spec,
    open_engine,
)
from sparklabel.engines.server import Endpoint, ServingSpec, connect, evict
from sparklabel.engines.server.gpu_presence import SHARED_MEMORY
from sparklabel.errors import EngineDied, EngineError, ModelError
from sparklabel.label_trie import label_trie
from tests.tiny_adapter import make_tiny_adapter

pytestmark = pytest.mark.process
TRIE = label_trie([tuple(b"fresh"), tuple(b"rotten")], ["fresh", "rotten"])
ROWS = tuple(tuple(text.encode()) for text in ("a fresh start", "rotten", "neither"))
REQUEST = ScoringRequest((1, 2), ROWS, TRIE)
FAKE = ServingSpec(EngineSpec("fake"), "fake:m", None)
WRITTEN = GenerationRequest((70, 71), ((72, 73), (74,)), '{"enum": ["ab", "cd"]}', 20)
TINY = ScoringRequest((70, 71), ((72, 73), (74,), (75, 76, 77)), label_trie([(1, 0), (2, 3, 0)], ["a", "b"]))


@pytest.fixture
def home():
    """A folder for processes, which are all ended at last. Not pytest's: its paths are too long for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
        for endpoint in map(Endpoint, Path(folder).iterdir()):
            endpoint.kill()


def pid(served, home):
    return Endpoint.of(served, home).facts()["pid"]


def stop(process):
    """Returns when it is stopped: until one of its threads was told, the others run on."""
    os.kill(process, signal.SIGSTOP)
    while psutil.Process(process).status() != psutil.STATUS_STOPPED:
        os.sched_yield()


def test_another_process_gives_the_same_scores_as_an_engine_in_this_one(home):
    found = connect(FAKE, home=home).score(REQUEST)
    np.testing.assert_array_equal(found, open_engine(FAKE.engine, FAKE.model, None, None).score(REQUEST))


def test_it_makes_the_same_prompts(home):
    ours, theirs = open_engine(FAKE.engine, "m", None, None).tokenizer, connect(FAKE, home=home).tokenizer
    assert (theirs.bos, theirs.stop_ids, theirs.context) == (ours.bos, ours.stop_ids, ours.context)
    assert theirs.chat() == ours.chat()
    assert theirs.encode_rows(["<stop>é"]) == ours.encode_rows(["<stop>é"])
    assert theirs.encode("<user>hi<stop>", inside=True) == ours.encode("<user>hi<stop>", inside=True)


def test_the_second_who_asks_finds_the_process_of_the_first(home):
    connect(FAKE, home=home)
    first = pid(FAKE, home)
    connect(FAKE, home=home)
    assert pid(FAKE, home) == first != os.getpid()


def test_many_who_come_at_once_start_one_process(home):
    engines = []
    threads = [threading.Thread(target=lambda: engines.append(connect(FAKE, home=home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(engines) == 4
    assert len([endpoint for endpoint in map(Endpoint, home.iterdir()) if endpoint.is_occupied]) == 1


def test_a_process_that_was_killed_is_the_engines_death_and_the_next_call_starts_another(home):
    engine = connect(FAKE, home=home)
    first = pid(FAKE, home)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(EngineDied, match="process is gone"):
        engine.score(REQUEST)
    connect(FAKE, home=home).score(REQUEST)
    assert pid(FAKE, home) != first


def test_a_process_that_hangs_is_replaced(home):
    connect(FAKE, home=home)
    first = pid(FAKE, home)
    stop(first)
    connect(FAKE, home=home, patience=0.5).score(REQUEST)
    assert pid(FAKE, home) != first


def test_a_process_that_hangs_is_dead_to_who_waits_for_its_answer(home):
    engine = connect(FAKE, home=home, silence=0.2)
    stop(pid(FAKE, home))
    with pytest.raises(EngineDied, match="process is gone"):
        engine.score(REQUEST)


def ended(endpoint):
    """Waits for the process to end: its lock is free then."""
    import fcntl

    with open(endpoint.folder / "alive", "ab") as file:
        waiting = threading.Thread(target=fcntl.flock, args=(file, fcntl.LOCK_EX), daemon=True)
        waiting.start()
        waiting.join(20)
        return not waiting.is_alive()


def test_it_ends_when_nobody_asks(home):
    connect(FAKE, home=home, idle_seconds=0.1)
    assert ended(Endpoint.of(FAKE, home))


def test_it_ends_with_the_executor_that_it_works_for(home):
    executor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    connect(FAKE, home=home, owner=executor.pid)
    executor.kill()
    executor.wait()
    executor.stdin.close()
    assert ended(Endpoint.of(FAKE, home))


def test_another_model_on_the_same_gpu_takes_the_place_of_an_idle_one(home):
    on_gpu = ServingSpec(EngineSpec("fake"), "fake:m", None, "GPU-1")
    other = ServingSpec(EngineSpec("fake"), "fake:other", None, "GPU-1")
    engine = connect(on_gpu, home=home)
    found = connect(other, home=home, settled=0).score(REQUEST)
    np.testing.assert_array_equal(found, open_engine(other.engine, other.model, None, None).score(REQUEST))
    assert Endpoint.of(other, home).facts()["key"] == other.key
    for _ in range(2):
        with pytest.raises(EngineDied):
            engine.score(REQUEST)


def test_a_model_that_is_asked_again_and_again_is_not_ended_for_another(home):
    engine, enough = (
        connect(ServingSpec(EngineSpec("fake"), "fake:m", None, "GPU-1"), home=home),
        threading.Event(),
    )

    def ask():
        while not enough.is_set():
            engine.score(REQUEST)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(EngineError, match="is busy with fake:m"):
        connect(ServingSpec(EngineSpec("fake"), "fake:other", None, "GPU-1"), home=home, settled=0.3)
    enough.set()
    asking.join()


def test_a_gpu_is_vacated_for_a_model_in_another_process(home):
    on_gpu = ServingSpec(EngineSpec("fake"), "fake:m", None, "GPU-1")
    connect(on_gpu, home=home).score(REQUEST)
    evict("GPU-1", home=home)
    assert not Endpoint.of(on_gpu, home).is_occupied
    evict("GPU-2", home=home)


def test_an_engine_warns_of_another_users_engine_on_its_gpu(home, tmp_path):
    """Another TMPDIR is as good as another user: neither sees the other's endpoint."""
    gpu = f"GPU-{uuid4().hex}"
    theirs = ServingSpec(EngineSpec("fake"), "fake:m", None, gpu)
    try:
        with tempfile.TemporaryDirectory() as other:
            connect(theirs, home=Path(other)).score(REQUEST)
            connect(theirs, home=home).score(REQUEST)
            logs = [Endpoint.of(theirs, folder).log.read_text() for folder in (Path(other), home)]
            Endpoint.of(theirs, Path(other)).resident.kill()
    finally:
        (SHARED_MEMORY / f"sparklabel-gpu-{gpu}").unlink(missing_ok=True)
    assert [f"Another engine of sparklabel is on the GPU {gpu}" in log for log in logs] == [False, True]


def test_a_bug_in_the_process_is_raised_where_it_was_asked_and_the_process_goes_on(home):
    engine = connect(FAKE, home=home)
    with pytest.raises(RuntimeError, match="AttributeError"):
        engine.score(ScoringRequest((1,), ROWS, None))
    engine.score(REQUEST)


def test_a_process_that_still_loads_is_waited_for(home):
    connect(FAKE, home=home)
    endpoint, first = Endpoint.of(FAKE, home), pid(FAKE, home)
    facts, away = endpoint.folder / "facts.json", endpoint.folder / "away"
    (endpoint.folder / "loading").write_text(json.dumps(endpoint.facts() | {"loading": True}))
    shutil.copy(facts, endpoint.folder / "loaded")
    (endpoint.folder / "loading").replace(facts)
    endpoint.socket.rename(away)
    waiting = threading.Thread(target=connect, args=(FAKE,), kwargs={"home": home, "patience": 0.1})
    waiting.start()
    away.rename(endpoint.socket)
    (endpoint.folder / "loaded").replace(facts)
    waiting.join()
    assert pid(FAKE, home) == first


def test_models_without_a_gpu_live_side_by_side(home):
    engine = connect(FAKE, home=home)
    connect(ServingSpec(EngineSpec("fake"), "fake:other", None), home=home)
    engine.score(REQUEST)


def test_a_failure_on_a_batch_is_the_failure_of_that_batch_only(home):
    engine = connect(ServingSpec(engine_spec("fake", {"fail_on": "rotten"}), "fake:m", None), home=home)
    with pytest.raises(EngineError, match="as fail_on asks") as caught:
        engine.score(REQUEST)
    assert not isinstance(caught.value, EngineDied)
    assert engine.score(ScoringRequest((1,), ROWS[:1], TRIE)).shape == (1, 2)


def test_a_model_that_does_not_load_says_so_as_if_it_were_loaded_here(home, tmp_path):
    broken = ServingSpec(EngineSpec("transformers"), "m", tmp_path)
    with pytest.raises(ModelError, match="does not load"):
        connect(broken, home=home)


def test_a_process_that_got_the_number_of_a_dead_engine_is_not_killed(home):
    """The engine lives, and holds its endpoint; but what it published names a number that is another process's now."""
    connect(FAKE, home=home)
    endpoint, engine = Endpoint.of(FAKE, home), pid(FAKE, home)
    facts = endpoint.facts()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        (endpoint.folder / "facts.json").write_text(json.dumps(facts | {"pid": stranger.pid}))
        endpoint.kill()
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                stranger.wait(0.2)
        finally:
            stranger.kill()
    (endpoint.folder / "facts.json").write_text(json.dumps(facts))
    assert psutil.pid_exists(engine)


def test_nobody_else_can_reach_the_socket(home):
    connect(FAKE, home=home)
    folder = Endpoint.of(FAKE, home).folder
    assert folder.stat().st_mode & 0o077 == 0


def test_the_process_serves_a_model_and_its_adapters_and_writes_as_an_engine_here_does(
    home, tiny_model, tmp_path
):
    adapter = make_tiny_adapter(tiny_model, tmp_path / "adapter")
    spec = engine_spec("transformers", {"dtype": "float32", "threads": 1})
    served = ServingSpec(spec, "tiny", tiny_model)
    plain, tuned = connect(served, home=home), connect(served, adapter, home=home)
    here = open_engine(spec, "tiny", tiny_model, None)
    written = plain.generate(WRITTEN)
    assert [g.text for g in written] == [g.text for g in here.generate(WRITTEN)]
    alone = open_engine(spec, "tiny", tiny_model, adapter)
    for engine, same in ((plain, here), (tuned, alone), (plain, here)):
        np.testing.assert_allclose(engine.score(TINY), same.score(TINY), atol=1e-5)
    assert not np.allclose(here.score(TINY), alone.score(TINY), atol=1e-3)
    read = HiddenStatesRequest(TINY.rows, 0.5)
    np.testing.assert_allclose(tuned.hidden_states(read), here.hidden_states(read), atol=1e-5)
