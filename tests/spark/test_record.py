"""Tables that an older or a newer release labeled: their records are grown in place, and nothing in them is lost."""

from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

import sparklabel as sl
from sparklabel.errors import ColumnError
from sparklabel.labeling.state.staging import open_staging
from sparklabel.labels.record import label_ddl
from sparklabel.table.human_answers import human_answers
from sparklabel.table.task_table import open_task_table
from sparklabel.tasks import Classification


@pytest.fixture(scope="module")
def grown(spark, label, rows_of, version):
    """A labeled table whose record lacks three fields and has two that we do not know, and a pass over it.

    Row 0 is a correction, and the text of row 1 has changed.
    """
    table, seen = "default.grown", SimpleNamespace()
    for name in ("default.grown", "default.labeled"):
        spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(
        "CREATE TABLE default.labeled USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(4)"
    )
    label("default.labeled")
    alternatives = "transform(verdict_label.alternatives, a -> named_struct('rank', 1, 'value', a.value))"
    record = F.col("verdict_label").withField("alternatives", F.expr(alternatives))
    record = record.dropFields("prompt_tokens", "output_tokens").withField("calibrator", F.lit("c1"))
    labeled = spark.table("default.labeled").withColumn("verdict_label", record)
    labeled.write.format("delta").saveAsTable(table)
    spark.sql(
        f"UPDATE {table} SET verdict = if(id = 0, 'rotten', verdict), text = if(id = 1, 'rotten', text)"
    )
    seen.before, before = rows_of(table), version(table)
    seen.planned = label(table, dry_run=True)
    assert version(table) == before
    seen.report, seen.after = label(table), rows_of(table)
    seen.again = label(table, dry_run=True)
    yield seen
    for name in ("default.grown", "default.labeled"):
        spark.sql(f"DROP TABLE {name}")


def test_missing_fields_are_added_to_a_record(grown):
    assert (grown.report.labeled, grown.again.pending) == (1, 0)
    assert grown.after[1].label.prompt_tokens > 0
    assert grown.after[2].label.prompt_tokens is None


def test_missing_fields_inside_arrays_are_added_too(grown):
    best, old = (grown.after[row].label.alternatives[0] for row in (1, 2))
    assert (best.value, best.rank, best.probability > 0.5) == ("rotten", None, True)
    assert (old.value, old.rank, old.probability) == ("fresh", 1, None)


def test_rows_that_are_not_pending_keep_their_records_with_fields_of_other_releases(grown):
    then, now = grown.before[2].label.asDict(), grown.after[2].label.asDict()
    assert now.pop("alternatives") != then.pop("alternatives")
    assert now == then | {"prompt_tokens": None, "output_tokens": None}


def test_human_answers_are_kept_and_stamped(grown):
    row = grown.after[0]
    assert (row.value, row.label.source, row.label.value, row.label.calibrator) == (
        "rotten", "human", "fresh", "c1",
    )  # fmt: skip


def test_a_new_answer_does_not_inherit_fields_about_the_old_one(grown):
    assert (grown.after[1].value, grown.after[1].label.calibrator) == ("rotten", None)


def test_a_dry_run_plans_without_the_fields(grown):
    assert grown.planned.states == {"human": 1, "input_changed": 1, "done": 2}


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (
            "attempts: INT",
            "attempts: BIGINT",
            "'verdict_label.attempts' is bigint, and a label record has int",
        ),
        ("status: STRING, ", "", "that is not a label record"),
    ],
)
def test_a_field_of_another_type_is_named(spark, table, label, version, ours, theirs, message):
    record = label_ddl("STRING").replace(ours, theirs)
    spark.sql(
        f"CREATE TABLE {table} (id BIGINT, text STRING, verdict STRING, verdict_label {record}) USING DELTA"
    )
    with pytest.raises(ColumnError, match=message):
        label(table)
    assert version(table) == 0


class Stars(Classification):
    """The same question, with numbers for answers."""

    @property
    def value_type(self):
        return "INT"


def test_each_format_of_the_record_has_a_staging_table_of_its_own(spark, small, task):
    opened = open_task_table(spark, small, task, "id")
    texts, numbers = (
        open_staging(spark, opened.target, opened.label_columns, asked, ["m"], "p").answers(spark).schema
        for asked in (task, Stars.build(**task.model_dump()))
    )
    assert texts != numbers


def test_human_answers_are_read_from_a_record_with_missing_fields(spark, table, grown, task):
    record = F.col("verdict_label").dropFields("labeled_at", "input_hash")
    older = spark.table("default.labeled").withColumn("verdict_label", record)
    older.write.format("delta").saveAsTable(table)
    spark.sql(f"UPDATE {table} SET verdict = 'rotten' WHERE id = 0")
    opened = open_task_table(spark, table, task, "id")
    found = human_answers(spark, opened, task)
    assert [(a.inputs, a.answer, a.agreed) for a in (*found.train, *found.held_out)] == [
        (("fresh 0",), "rotten", None)
    ]


class Facts(Classification):
    """The same question, with structs for answers."""

    @property
    def value_type(self):
        return "STRUCT<theName: STRING, marks: ARRAY<STRUCT<at: INT>>>"


def test_a_structs_fields_match_regardless_of_case_and_nullability(spark, table, task):
    value = "STRUCT<theName: STRING NOT NULL, marks: ARRAY<STRUCT<at: INT>>>"
    spark.sql(f"CREATE TABLE {table} (id BIGINT, text STRING, verdict {value}) USING DELTA")
    opened = open_task_table(spark, table, Facts.build(**task.model_dump()), "id", adopt=True)
    assert [name for name, _ in opened.label_columns.missing] == ["verdict_label"]


def test_a_struct_with_a_field_of_another_type_is_refused(spark, table, task):
    spark.sql(f"CREATE TABLE {table} (id BIGINT, text STRING, verdict STRUCT<theName: INT>) USING DELTA")
    with pytest.raises(ColumnError, match=r"'verdict\.theName' is int, and .* string there"):
        open_task_table(spark, table, Facts.build(**task.model_dump()), "id", adopt=True)


def test_a_tables_struct_gains_the_tasks_new_fields_and_keeps_removed_ones(spark, table, label):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('Ada paid ', id) AS text FROM range(4)")
    first, grown, less = (
        sl.extraction("facts", "text", dict.fromkeys(names, "string")) for names in ("ab", "bca", "c")
    )
    label(table, first)
    spark.sql(f"UPDATE {table} SET facts.a = 'by hand', facts_label.source = 'human' WHERE id = 0")
    for asked in (grown, less):
        done = label(table, asked)
        assert (done.labeled, done.human_kept) == (3, 1)
    kinds = {field.name: field.dataType for field in spark.table(table).schema}
    assert (
        kinds["facts"].fieldNames() == kinds["facts_label"]["value"].dataType.fieldNames() == ["a", "b", "c"]
    )
    rows = spark.sql(f"SELECT facts.a, facts.b, facts.c FROM {table} ORDER BY id").collect()
    assert rows[0].a == "by hand"
    assert {(row.a, row.b) for row in rows[1:]} == {(None, None)}
    opened = open_task_table(spark, table, less, "id")
    answers = human_answers(spark, opened, less)
    assert [a.answer for a in (*answers.train, *answers.held_out)] == [{"c": None}]
