"""Requests of many clients in one batch."""

import threading

import numpy as np
import pytest

from sparklabel.engines import ScoringRequest
from sparklabel.engines.server.batcher import Batcher
from sparklabel.errors import EngineError
from sparklabel.label_trie import label_trie

TRIE = label_trie([tuple(b"fresh"), tuple(b"rotten")], ["fresh", "rotten"])


class Counting:
    """An engine that tells how it was called, and waits for `go` first."""

    def __init__(self):
        self.calls, self.go = [], threading.Event()

    def score(self, request):
        self.go.wait(30)
        self.calls.append(len(request.rows))
        if len(request.rows) > 1 and (9,) in request.rows:
            raise EngineError("a bad row")
        return np.array([[row[0]] for row in request.rows], dtype=np.float32)


def gathered(requests):
    """What each request got while they waited together, and the calls behind the first one."""
    engine, batcher, found = Counting(), Batcher(), {}

    def ask(number, request):
        try:
            found[number] = batcher.run(engine, request).tolist()
        except EngineError as error:
            found[number] = error.message

    first = threading.Thread(target=ask, args=("first", ScoringRequest((0,), ((7,),), TRIE)))
    first.start()
    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(requests)]
    for thread in threads:
        thread.start()
    while batcher.waiting < len(requests):
        pass
    engine.go.set()
    for thread in (first, *threads):
        thread.join()
    return found, engine.calls[1:]


def test_requests_that_share_a_prefix_are_computed_together():
    found, calls = gathered([ScoringRequest((1,), ((3,), (4,)), TRIE), ScoringRequest((1,), ((5,),), TRIE)])
    assert calls == [3]
    assert (found[0], found[1]) == ([[3.0], [4.0]], [[5.0]])


def test_requests_with_other_prefixes_are_not():
    _, calls = gathered([ScoringRequest((1,), ((3,),), TRIE), ScoringRequest((2,), ((5,),), TRIE)])
    assert calls == [1, 1]


def test_one_clients_bad_row_does_not_fail_another_client():
    found, _ = gathered([ScoringRequest((1,), ((3,), (9,)), TRIE), ScoringRequest((1,), ((5,),), TRIE)])
    assert (found[0], found[1]) == ("a bad row", [[5.0]])


class Mute:
    def score(self, request):
        return None if request.rows == ((9,),) else np.zeros((len(request.rows), 1), dtype=np.float32)


def test_an_engine_with_a_bug_fails_its_client_and_nobody_after_it():
    batcher, engine = Batcher(), Mute()
    with pytest.raises(TypeError):
        batcher.run(engine, ScoringRequest((1,), ((9,),), TRIE))
    assert batcher.run(engine, ScoringRequest((1,), ((3,),), TRIE)).shape == (1, 1)
