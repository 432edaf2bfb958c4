"""Tables, tasks and passes for the tests that need Spark."""

import json
import logging
import os
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace

import pytest

from sparklabel import classification, label_table
from sparklabel.labeling.state import lease

_numbers = count(1)


@pytest.fixture(scope="session", autouse=True)
def own_cache(cache):
    """Every test here writes into it."""


@pytest.fixture(scope="session", autouse=True)
def no_silence():
    """A pass of another machine counts as dead when it is looked at: waiting for its signs takes five minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "_SILENCE_SECONDS", 0.0)
        yield


@pytest.fixture
def table(spark):
    """The name of a table that does not exist yet; what the test makes under it is dropped afterwards."""
    name = f"default.t{os.getpid()}_{next(_numbers)}"  # others may have tables there: see `make mutants`
    yield name
    spark.sql(f"DROP TABLE IF EXISTS {name}")


@pytest.fixture(scope="session")
def task():
    """What most passes here ask; a `fresh ...` is answered fresh by the fake engine, a `rotten ...` rotten."""
    return classification("verdict", "text", ["fresh", "rotten"], "Judge.")


@pytest.fixture(scope="session")
def label(spark, task):
    """A pass with the fake engine over a table with the key `id`, unless `options` say otherwise."""

    def run(table, task=task, **options):
        defaults = {"key": "id", "model": "m", "engine": "fake", "progress": False}
        return label_table(spark, table, task, **defaults | options)

    return run


@pytest.fixture(scope="session")
def version(spark):
    """A table's newest version."""
    return lambda table: spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").first()["version"]


@pytest.fixture(scope="session")
def rows_of(spark):
    """A table's rows by id: text, value, and the record as a Row (None where there is none)."""

    def read(table):
        found = spark.sql(f"SELECT id, text, verdict AS value, verdict_label AS label FROM {table}").collect()
        return {row.id: SimpleNamespace(**row.asDict()) for row in found}

    return read


@pytest.fixture
def small(spark, table):
    """A table of six rows, `fresh 0` to `fresh 5`."""
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(6)")
    return table


@pytest.fixture
def forty(spark, table):
    """The same with forty rows: too many for a small pass as long as no pass has told how fast the model is."""
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(40)")
    return table


@pytest.fixture(scope="module")
def mlflow_store(tmp_path_factory, new_mlflow_store):
    """A store of its own for a module's tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_mlflow_store(tmp_path_factory.mktemp("mlflow")))
        yield


@pytest.fixture(scope="session")
def behind_chunk():
    """`with behind_chunk(act)`: a pass inside does `act(line)` behind each of its chunks, when that is staged and not
    merged, in its own thread. `line` is what it logs then."""

    @contextmanager
    def listening(act):
        class Listener(logging.Handler):
            def emit(self, record):
                act(json.loads(record.getMessage()))

        log, listener = logging.getLogger("sparklabel.pass"), Listener(logging.INFO)
        level = log.level
        log.addHandler(listener)
        log.setLevel(logging.INFO)
        try:
            yield
        finally:
            log.removeHandler(listener)
            log.setLevel(level)

    return listening
