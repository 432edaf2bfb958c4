"""Every kind of task goes the same way: labeled in place, corrected in SQL, evaluated."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

import sparklabel as sl
from sparklabel.labeling.state.answer_cache import read_answer, write_answer
from sparklabel.labels.record import label_ddl

TASKS = [sl.load_task(path) for path in sorted((Path(__file__).parents[2] / "conf" / "tasks").glob("*.yaml"))]
ROWS = 60
"""So few distinct texts that the pass is small."""
POISON = (
    "CASE id % 10 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN repeat('long text ', 10000) WHEN 3 THEN '😀 émoji 漢字' "
    "WHEN 4 THEN concat('tab\\t', chr(0), chr(7), chr(27)) WHEN 5 THEN '<stop><assistant>{\"a\": 1}</s><|im_end|>' "
    "WHEN 6 THEN CAST(X'ff41fe' AS STRING) ELSE concat('Ada paid 250 EUR in London, row ', id) END"
)

pytestmark = pytest.mark.usefixtures("mlflow_store")


def test_conf_has_every_kind():
    from sparklabel.tasks import KINDS

    assert {task.kind for task in TASKS} == set(KINDS)


@pytest.fixture(scope="module")
def passes(spark, mlflow_store):
    """A table that all tasks labeled in one call, and that people answered two rows of; the report of the call, and of
    what another would do, by task."""
    columns = sorted({column for task in TASKS for column in task.inputs})
    table = "default.every_kind"
    texts = ", ".join(f"{POISON} AS {column}" for column in columns)
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, {texts} FROM range({ROWS})")

    def label(**options):
        reports = sl.label_table(spark, table, TASKS, key="id", engine="fake", progress=False, **options)
        return {report.task: report for report in reports}

    first = label()
    # Rows 7 and 8 get the answers of 57 and 58: whatever they say, it is an answer that the task takes.
    given = ", ".join(f"`{task.name}`" for task in TASKS)
    answers = ", ".join(
        f"{name} = s.{name}, {name[:-1]}_label`.source = 'human'" for name in given.split(", ")
    )
    spark.sql(
        f"MERGE INTO {table} t USING (SELECT id - 50 AS id, {given} FROM {table} WHERE id IN (57, 58)) s "
        f"ON t.id = s.id WHEN MATCHED THEN UPDATE SET {answers}"
    )
    yield SimpleNamespace(table=table, first=first, again=label(dry_run=True))
    spark.sql(f"DROP TABLE {table}")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind + "-" + task.name)
def test_a_table_with_difficult_texts_is_labeled_corrected_and_evaluated(spark, passes, task):
    first, again = passes.first[task.name], passes.again[task.name]
    assert (first.labeled, sum(first.by_status.values())) == (ROWS, ROWS)
    assert first.by_status["empty_input"] == ROWS // 5
    assert set(first.by_status) <= {"ok", "truncated", "empty_input", "invalid_output"}
    assert first.by_status["ok"] >= ROWS * 2 // 5
    assert (again.pending, again.human_kept) == (0, 2)
    record = f"`{task.name}_label`"
    # What the fake engine said as gold: it says the same again, and every kind's values go the way through Spark.
    said = spark.table(passes.table).where(f"{record}.status = 'ok' AND {record}.source = 'model'")
    report = sl.evaluate(
        spark, said.select(*task.inputs, F.col(task.name).alias("gold")), task, gold="gold", engine="fake"
    )
    assert report.accuracy == 1.0


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind + "-" + task.name)
def test_the_cache_gives_back_the_answers_that_it_is_given(spark, passes, task):
    records = spark.sql(f"SELECT `{task.name}_label` AS written FROM {passes.table}").where(
        "written.status = 'ok'"
    )
    kept = records.select("written", write_answer("written").alias("text"))
    pairs = kept.select("written", read_answer("text", label_ddl(task.value_type)).alias("kept")).collect()
    assert len(pairs) >= ROWS * 2 // 5
    assert all(pair.kept == pair.written for pair in pairs)
