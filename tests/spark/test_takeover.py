"""Passes that die, and what others do to the table meanwhile: passes driven step by step."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.sql import functions as F

from sparklabel.labeling.executor import ensure_columns, staging_of
from sparklabel.labeling.request import PassRequest
from sparklabel.labels.predicates import input_hash_sql
from sparklabel.table.merge import answered_rows, answers_change, merge_rows
from sparklabel.table.row_states import ANSWER, HASH, STATE, row_states
from sparklabel.table.task_table import open_task_table
from sparklabel.udf import labeler_spec, udf_of


@pytest.fixture(autouse=True)
def no_small_pass(monkeypatch):
    """Few rows tell the stories, and their passes must look at what is staged."""
    monkeypatch.setattr("sparklabel.labeling.plan._UNTIMED_INPUTS", 0)


class Opened:
    """A pass over `table` with its columns added and its staging open, to be driven step by step."""

    def __init__(self, spark, table, task, model="m"):
        self.spark, self.spec = spark, labeler_spec(task, model, "fake", {})
        request = PassRequest(self.spec, open_task_table(spark, table, task, "id"))
        self.request, self.table = request, ensure_columns(spark, request)
        self.staging, self.chunk = staging_of(spark, request, self.table), 0

    @property
    def pending(self):
        states = row_states(self.spark, self.table, self.request.task, self.request.scope)
        return states.where(f"{STATE} = 'new'")

    def stage(self, spark, texts, **fields):
        """Stages the answers to `texts`, with some of their fields replaced."""
        inputs = spark.createDataFrame([(text,) for text in texts], "text STRING")
        answer = udf_of(self.spec)("text")
        for name, value in fields.items():
            answer = answer.withField(name, F.lit(value))
        self.chunk += 1
        hashed = inputs.select(F.expr(input_hash_sql(["text"])).alias(HASH), answer.alias(ANSWER))
        self.staging.append(hashed, self.chunk)

    def merge(self):
        rows = answered_rows(self.table, self.pending, self.staging.answers(self.spark), "p")
        change = answers_change(self.table, self.request.task, rows)
        return merge_rows(self.table.target, self.table.keys, [change], {"pass_id": "p"})


def test_answers_of_a_pass_that_died_are_taken_over(spark, small, task, label, rows_of):
    Opened(spark, small, task, model="another").stage(spark, ["fresh 0"], confidence=0.1)
    dead = Opened(spark, small, task)
    dead.stage(spark, ["fresh 1", "fresh 2"], confidence=0.2)
    dead.stage(spark, ["fresh 3"], status="engine_error", value=None)
    report = label(small)
    rows = rows_of(small)
    assert (report.labeled, report.resumed_inputs) == (6, 2)
    assert [i for i, row in rows.items() if row.label.confidence == 0.2] == [1, 2]
    assert rows[0].label.confidence > 0.5
    assert (rows[3].label.status, rows[3].value) == ("ok", "fresh")
    assert {row.label.pass_id for row in rows.values()} == {report.pass_id}
    assert [row.input_hash for row in spark.sql(f"SELECT * FROM {dead.staging.sql}").collect()] == [
        rows[0].label.input_hash
    ], "the other model's answer stays for a pass with that model"


def test_a_sign_of_life_while_the_rest_is_computed_is_no_conflict(spark, small, task, tmp_path):
    folder = str(tmp_path)

    @F.udf("boolean")
    def waited(text):
        from pathlib import Path

        Path(folder, "computing").touch()
        while not Path(folder, "go").exists():
            pass
        return True

    dead, now = Opened(spark, small, task), Opened(spark, small, task)
    dead.stage(spark, ["fresh 1", "fresh 2"])
    rest = now.pending.select(HASH, "text").join(dead.staging.answers(spark, pinned=True), HASH, "left_anti")
    one_slot = rest.repartition(1)
    answers = one_slot.where(waited.asNondeterministic()("text")).select(
        HASH, udf_of(now.spec)("text").alias(ANSWER)
    )
    with ThreadPoolExecutor(1) as pool:
        staged = pool.submit(now.staging.append, answers, 1)
        while not (tmp_path / "computing").exists():
            pass
        spark.sql(f"INSERT INTO {dead.staging.sql} (pass_id, lease) VALUES ('other', 'alive')")
        (tmp_path / "go").touch()
        assert staged.result().answers == 4


def test_a_narrow_pass_leaves_the_other_staged_answers_for_a_later_one(spark, small, task, label, rows_of):
    Opened(spark, small, task).stage(spark, [f"fresh {i}" for i in range(6)], confidence=0.2)
    assert label(small, where="id < 2 -- the first").labeled == 2
    rest = label(small)
    assert (rest.labeled, rest.resumed_inputs, rest.inputs_per_second) == (4, 4, None)


def test_answers_that_a_pass_beside_staged_to_the_same_text_stay(spark, small, task, label):
    spark.sql(f"INSERT INTO {small} (id, text) VALUES (6, 'fresh 0')")
    beside = Opened(spark, small, task)
    beside.stage(spark, ["fresh 0"], confidence=0.2)
    assert label(small, where="id = 0").resumed_inputs == 1
    assert beside.merge() == 1, "the row with the same text"


def test_staged_answers_outside_the_pass_are_not_counted_as_taken_over(spark, small, task, label, rows_of):
    Opened(spark, small, task).stage(spark, [f"fresh {i}" for i in range(1, 6)], confidence=0.2)
    narrow = label(small, where="id < 2")
    assert (narrow.labeled, narrow.resumed_inputs) == (2, 1)
    assert narrow.inputs_per_second > 0


def test_a_pass_whose_answers_are_all_staged_only_merges(spark, small, task, label, rows_of):
    Opened(spark, small, task).stage(spark, [f"fresh {i}" for i in range(6)], confidence=0.2)
    report = label(small)
    assert (report.labeled, report.resumed_inputs, report.inputs_per_second) == (6, 6, None)
    assert {row.label.confidence for row in rows_of(small).values()} == {0.2}


def test_what_changed_while_the_model_worked_gets_no_stale_answer(spark, small, task, label, rows_of):
    opened = Opened(spark, small, task)
    opened.stage(spark, [f"fresh {i}" for i in range(6)])
    spark.sql(f"UPDATE {small} SET text = 'rotten now' WHERE id = 1")
    spark.sql(f"UPDATE {small} SET verdict = 'rotten' WHERE id = 2")
    spark.sql(f"DELETE FROM {small} WHERE id = 3")
    assert opened.merge() == 3
    rows = rows_of(small)
    assert (rows[1].value, rows[1].label, rows[2].value, rows[2].label) == (None, None, "rotten", None)
    assert {i: row.value for i, row in rows.items() if i not in (1, 2)} == {
        0: "fresh",
        4: "fresh",
        5: "fresh",
    }


def test_an_older_pass_that_ends_later_leaves_the_newer_ones_answers(spark, small, task, label, rows_of):
    older = Opened(spark, small, task)
    older.stage(spark, ["fresh 0", "fresh 1"])
    label(small, where="id < 1", model="newer")
    assert older.merge() == 1
    assert [rows_of(small)[i].label.model for i in (0, 1)] == ["fake:newer", "fake:m"]


def test_a_record_that_grew_while_the_model_worked_is_written_all_the_same(spark, small, task, rows_of):
    opened = Opened(spark, small, task)
    opened.stage(spark, ["fresh 0"])
    spark.sql(f"ALTER TABLE {small} ADD COLUMNS (verdict_label.calibrator STRING)")
    assert opened.merge() == 1
    assert (rows_of(small)[0].value, rows_of(small)[0].label.calibrator) == ("fresh", None)
