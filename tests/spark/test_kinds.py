"""Every kind of task goes the same way: labelled in place, corrected in SQL, evaluated."""

from pathlib import Path

import pytest

import sparklabel as sl

TASKS = [sl.load_task(path) for path in sorted((Path(__file__).parents[2] / "conf" / "tasks").glob("*.yaml"))]
POISON = (
    "CASE id % 10 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN repeat('long text ', 10000) WHEN 3 THEN '😀 émoji 漢字' "
    "WHEN 4 THEN concat('tab\\t', chr(0), chr(7), chr(27)) WHEN 5 THEN '<stop><assistant>{\"a\": 1}</s><|im_end|>' "
    "WHEN 6 THEN CAST(X'ff41fe' AS STRING) ELSE concat('Ada paid 250 EUR in London, row ', id) END"
)

pytestmark = [
    pytest.mark.usefixtures("mlflow_store"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


def test_conf_has_every_kind():
    from sparklabel.tasks import KINDS

    assert {task.kind for task in TASKS} == set(KINDS)


@pytest.fixture
def table(spark):
    columns = sorted({column for task in TASKS for column in task.inputs})
    name = "default.every_kind"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    texts = ", ".join(f"{POISON} AS {column}" for column in columns)
    spark.sql(f"CREATE TABLE {name} USING DELTA AS SELECT id, {texts} FROM range(100)")
    yield name
    spark.sql(f"DROP TABLE {name}")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind + "-" + task.name)
def test_a_table_with_poison_is_labelled_corrected_and_evaluated(spark, table, task):
    def label(**options):
        return sl.label_table(spark, table, task, key="id", engine="fake", progress=False, **options)

    first = label()
    assert (first.labeled, sum(first.by_status.values())) == (100, 100)
    assert first.by_status["empty_input"] == 20
    assert set(first.by_status) <= {"ok", "truncated", "empty_input", "invalid_output"}
    assert first.by_status["ok"] >= 40
    # Rows 7 and 8 get the answers of 97 and 98: whatever they say, it is an answer that the task takes.
    value, record = f"`{task.name}`", f"`{task.name}_label`"
    given = f"SELECT id - 90 AS id, {value} FROM {table} WHERE id IN (97, 98)"
    spark.sql(
        f"MERGE INTO {table} t USING ({given}) s ON t.id = s.id "
        f"WHEN MATCHED THEN UPDATE SET {value} = s.{value}, {record}.source = 'human'"
    )
    again = label()
    assert (again.labeled, again.human_kept) == (0, 2)
    report = sl.evaluate(
        spark, spark.table(table).where(f"{record}.status = 'ok' AND {record}.source = 'model'"), task,
        gold=task.name, engine="fake",
    )  # fmt: skip
    assert report.accuracy == 1.0
