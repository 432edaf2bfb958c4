"""A worker whose engine dies while it is opened, as a shared one does of another task's row."""

import pyarrow as pa
import pytest

from sparklabel import classification
from sparklabel.errors import EngineDied, EngineError
from sparklabel.udf import labeler_spec, loading
from sparklabel.udf.worker import label_batches

TASK = classification("verdict", "text", ["fresh", "rotten"], "Judge.")
ROWS = pa.StructArray.from_arrays([pa.array(["fresh 1", "rotten 2"])], names=["text"])
RECORD = pa.struct([("value", pa.string())])


class Failing:
    """A tokenizer that raises whatever it is asked."""

    def __init__(self, error):
        self._error = error

    def __getattr__(self, name):
        raise self._error


@pytest.fixture
def labels(monkeypatch):
    """`labels(errors)`: what a worker answers whose engine fails with the next of them each time it is opened."""
    load = loading.load_engine
    monkeypatch.setattr(loading, "_loaded", {})

    def label(errors):
        def failing(*arguments):
            engine = load(*arguments)
            if errors:
                engine.tokenizer = Failing(errors.pop())
            return engine

        monkeypatch.setattr(loading, "load_engine", failing)
        (answers,) = label_batches(labeler_spec(TASK, "m", "fake", {}), iter([ROWS]), RECORD)
        return [answer["value"] for answer in answers.to_pylist()]

    return label


def test_an_engine_that_died_while_it_was_opened_is_opened_again(labels):
    assert labels([EngineDied("gone")] * 3) == ["fresh", "rotten"]


def test_an_engine_that_dies_each_time_it_is_opened_is_an_error_and_is_not_kept(labels):
    with pytest.raises(EngineDied, match="gone"):
        labels([EngineDied("gone")] * 100)
    assert labels([]) == ["fresh", "rotten"]


def test_any_other_error_of_opening_it_is_raised_at_once(labels):
    errors = [EngineError("busy")] * 2
    with pytest.raises(EngineError, match="busy"):
        labels(errors)
    assert len(errors) == 1
