"""The queue on a real PostgreSQL, for workers on several hosts."""

import threading
from collections import Counter

import pytest

import sparklabel as sl
from sparklabel.errors import SetupError
from sparklabel.training.runs.capacity import Admission
from sparklabel.training.runs.claims import WorkerQueue
from tests.postgresql import PASSWORD, binaries, server

pytestmark = pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed here")
RUNS, WORKERS = 30, 4


@pytest.fixture(scope="module")
def address(store):
    with server(binaries()) as found:
        yield found


def test_workers_that_claim_at_once_never_claim_the_same_run(submit, address):
    submit(name="race", search=sl.grid(seed=list(range(RUNS))))
    claimed, begin = Counter(), threading.Barrier(WORKERS)

    def work():
        with WorkerQueue(address) as queue:
            begin.wait()
            while found := queue.claim(lambda _: Admission.TAKE, "host:1"):
                claimed[found.run.name] += 1
                queue.complete(found, found.run.number / 100)

    workers = [threading.Thread(target=work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(claimed.values()) == {1}
    assert [run.state for run in sl.runs("race", queue=address)] == ["complete"] * (RUNS + 1)


def test_a_silent_workers_run_is_taken_over(submit, address):
    submit(name="silent")
    with WorkerQueue(address, beat=1, grace=1) as queue:
        lost = queue.claim(lambda _: Admission.TAKE, "host:1")
        found = None
        while found is None:  # by the server's clock
            found = queue.claim(lambda _: Admission.TAKE, "host:2")
        assert (found.run.name, found.run.attempts) == ("silent/1", 2)
        assert queue.beat(lost, 1, 2)


def test_a_canceled_run_is_not_claimed(submit, address):
    submit(name="unwanted", priority=-1)
    sl.cancel_run("unwanted", queue=address)
    with WorkerQueue(address) as queue:
        assert (
            queue.claim(lambda s: Admission.TAKE if s.name == "unwanted" else Admission.SKIP, "host:1")
            is None
        )


def test_a_wrong_password_is_not_shown(address):
    wrong = address.replace(PASSWORD, "hunter%402")
    with pytest.raises(SetupError) as error:
        sl.runs(queue=wrong)
    assert "hunter" not in str(error.value)
    assert "password authentication failed" in str(error.value)
