"""Hidden states that a pass keeps for reviews, with the tiny model."""

from pathlib import Path

import numpy as np
import pytest

import sparklabel as sl
from sparklabel.engines import engine_spec, open_engine
from sparklabel.errors import SetupError, TaskError
from sparklabel.labeler import PreparedTask
from sparklabel.labeling.state.features import FeatureTable
from sparklabel.probe.hidden_states import HiddenStates
from sparklabel.registry import resolve
from sparklabel.reviewing.table.worker import TableWorker
from sparklabel.table.row_states import HASH, labeled_rows
from sparklabel.table.task_table import open_task_table


@pytest.fixture
def keep(label, tiny_model, small):
    """A pass over the table of six rows that keeps features."""

    def run(**options):
        defaults = {"model": str(tiny_model), "engine": "transformers", "dtype": "float32", "features": True}
        return label(small, **defaults | options)

    return run


def kept(spark, table, task):
    """What is kept, by the row's text, and of which model."""
    opened = open_task_table(spark, table, task)
    hashes = {row[HASH]: row.text for row in labeled_rows(spark, opened, task).collect()}
    features = FeatureTable.of(opened, task)
    model = features.model(spark)
    return {hashes[one]: states for one, states in features.read(spark, model, list(hashes)).items()}, model


def test_a_pass_keeps_the_states_that_a_probe_would_read(spark, keep, small, task, tiny_model):
    assert keep().labeled == 6
    states, model = kept(spark, small, task)
    assert model == resolve(str(tiny_model)).identity
    engine = open_engine(engine_spec("transformers", {"dtype": "float32"}), model, tiny_model, None)
    read = HiddenStates(engine, PreparedTask.bare(task, engine.tokenizer).encoder)
    texts = sorted(states)
    assert texts == [f"fresh {number}" for number in range(6)]
    found = np.stack([np.frombuffer(states[text], "<f2") for text in texts])
    np.testing.assert_allclose(found, read([[text] for text in texts]), atol=2e-3, rtol=2e-3)


def test_a_later_pass_reads_new_rows_alone_and_a_review_finds_both(spark, keep, small, task, tiny_model):
    keep()
    spark.sql(f"INSERT INTO {small} (id, text) VALUES (6, 'fresh 6')")
    keep()
    opened = open_task_table(spark, small, task)
    features = FeatureTable.of(opened, task)
    assert spark.sql(f"SELECT * FROM {features.sql}").count() == 7
    worker = TableWorker(spark, {"table": small, "tasks": [task.to_dict()]}, "journal")
    worker.check()
    model = worker.hidden_states_model(task.name)
    hashes = [row[HASH] for row in labeled_rows(spark, opened, task).select(HASH).collect()]
    assert len(worker.hidden_states(task.name, model, [*hashes, "unknown"])) == 7


def test_what_no_review_asks_is_not_read(spark, keep, small, task):
    spark.sql(f"INSERT INTO {small} VALUES (7, ' ')")
    keep(where="id < 2")
    spark.sql(f"UPDATE {small} SET verdict = 'rotten' WHERE id = 1")
    keep(relabel="none")
    assert sorted(kept(spark, small, task)[0]) == [f"fresh {number}" for number in range(6)]
    spark.sql(f"DELETE FROM {FeatureTable.of(open_task_table(spark, small, task), task).sql}")
    keep(relabel="none")
    assert "fresh 1" not in kept(spark, small, task)[0]


def test_other_instructions_need_no_other_states(spark, keep, small, task):
    keep()
    other = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge it kindly.")
    keep(task=other, relabel="none")
    assert (
        spark.sql(f"SELECT * FROM {FeatureTable.of(open_task_table(spark, small, task), task).sql}").count()
        == 6
    )
    assert len(kept(spark, small, other)[0]) == 6


def test_shards_read_each_input_once(spark, keep, small, task):
    for number in range(2):
        keep(shard=(number, 2))
    states = spark.sql(f"SELECT * FROM {FeatureTable.of(open_task_table(spark, small, task), task).sql}")
    assert states.count() == 6


def test_without_time_left_nothing_is_read(spark, keep, small, task, caplog):
    keep(max_seconds=1e-9)
    assert kept(spark, small, task)[0] == {}
    assert "next call" in caplog.text


def test_a_labels_table_that_was_not_made_has_none(spark, keep, table, small):
    keep(into=f"{table}_labels", where="id > 99")
    assert not Path("/_sparklabel").exists()
    assert not spark.catalog.tableExists(f"{table}_labels")


def test_a_task_whose_review_has_no_probe_is_refused(keep):
    with pytest.raises(
        TaskError, match="'gist' has none: answers to a task of kind 'generation' are written"
    ):
        keep(task=sl.generation("gist", "text", "Sum up."))


def test_states_of_rows_that_are_gone_are_tidied_away(spark, keep, small, task, tmp_path):
    keep(staging=str(tmp_path))
    spark.sql(f"DELETE FROM {small} WHERE id < 4")
    sl.tidy(spark, small, staging=str(tmp_path))
    assert sorted(kept(spark, small, task)[0]) == ["fresh 4", "fresh 5"]


def test_a_review_of_a_table_without_them_is_told_so(spark, small, label, task):
    label(small)
    worker = TableWorker(spark, {"table": small, "tasks": [task.to_dict()]}, "journal")
    worker.check()
    assert worker.hidden_states_model(task.name) == ""


def test_an_engine_without_hidden_states_is_refused_before_anything_is_labeled(spark, label, small):
    with pytest.raises(SetupError, match=r"features=True keeps hidden states .* 'fake'"):
        label(small, features=True)
    assert "verdict" not in spark.table(small).columns


def test_a_failure_is_told_and_the_labels_stay(keep, monkeypatch, caplog):
    def failing(*arguments):
        raise SetupError("no room")

    monkeypatch.setattr("sparklabel.labeling.state.features.create_table", failing)
    assert keep().labeled == 6
    assert "were not kept, or not all: no room" in caplog.text
