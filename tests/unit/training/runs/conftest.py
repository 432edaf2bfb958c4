"""A queue in a file, and what is submitted to it."""

import pytest

import sparklabel as sl
from sparklabel.training.runs import claims
from sparklabel.training.runs.claims import WorkerQueue

TASK = sl.classification("tone", "text", ["calm", "angry"])


@pytest.fixture
def address(tmp_path, store):
    return f"sqlite:///{tmp_path}/runs.db"


@pytest.fixture
def submit(address):
    """Submits a fine-tuning."""

    def run(**options):
        defaults = {"queue": address, "table": "support.tickets", "task": TASK, "key": "id"}
        return sl.submit("finetune", **defaults | options)

    return run


@pytest.fixture
def queue(address, monkeypatch):
    """The queue; a worker there counts as dead after three seconds."""
    monkeypatch.setattr(claims, "_PAUSE_SECONDS", 0.0)
    with WorkerQueue(address, beat=1, grace=2) as opened:
        yield opened
