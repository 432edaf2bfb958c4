"""A queue in a file, and what is submitted to it."""

import pytest

import sparklabel as sl
from sparklabel.training.runs.queue import RunQueue

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
def queue(address):
    """The queue; a worker there counts as dead after three seconds."""
    with RunQueue(address, beat=1, grace=2) as opened:
        yield opened
