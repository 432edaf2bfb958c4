"""What a pass writes into rows, and which rows it leaves alone: the guards and the assignments of its MERGE."""

from datetime import datetime

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from sparklabel.delta.snapshot import UNVERSIONED, TableSnapshot
from sparklabel.labels.record import input_hash, label_ddl
from sparklabel.table.label_columns import LabelColumns
from sparklabel.table.merge import (
    Change,
    answered_rows,
    answers_change,
    corrections_change,
    source_rows,
    struct_name,
)
from sparklabel.table.row_states import ANSWER, HASH, SEEN, STATE
from sparklabel.table.task_table import TaskTable

COLUMNS = LabelColumns("verdict", "verdict_label", ())
RECORD = label_ddl("STRING")
HERE, LATER = input_hash([b"a text"]), input_hash([b"another text"])
REVIEWED = datetime(2026, 1, 2)


def opened_as(name, schema, source=None):
    """A view opened for the task: in place, or with its labels apart from `source`."""
    target = TableSnapshot(name, name, "", UNVERSIONED, schema, {})
    return TaskTable(source or target, target, ("id",), COLUMNS)


@pytest.fixture(scope="module")
def beside(spark):
    """`beside(change, table)`: what its guard, its narrowing and each of its assignments is for each row, by id."""

    def evaluate(change, table):
        rows = change.rows.select(
            "id", F.struct(*(c for c in change.rows.columns if c != "id")).alias(struct_name(change.name))
        )
        rows.createOrReplaceTempView("literal_changes")
        said = {"guard": change.guard, "narrow": " AND ".join(change.narrow) or "true", **change.assigned}
        columns = ", ".join(f"{sql} AS `{name}`" for name, sql in said.items())
        found = spark.sql(
            f"SELECT t.id, {columns} FROM {table} t JOIN literal_changes s ON t.id = s.id"
        ).collect()
        return {row.id: row for row in found}

    return evaluate


@pytest.fixture(scope="module")
def answer(record):
    """What a model says now; changed fields."""
    return lambda **changed: record(value="rotten", model="new", pass_id="now", input_hash=HERE, **changed)


@pytest.fixture(scope="module")
def written(spark, record, answer, task, beside):
    """Rows that are in all kinds of states when a pass comes to write its answers, and what it writes to them."""
    seen = record(input_hash=HERE)
    rows = {  # value, record, text, the answer, the pass that had been seen
        "as it was": ("fresh", seen, "a text", answer(), "p"),
        "never labeled": (None, None, "a text", answer(), None),
        "corrected meanwhile": ("rotten", seen, "a text", answer(), "p"),
        "confirmed meanwhile": ("fresh", seen | {"source": "human"}, "a text", answer(), "p"),
        "answered by another pass meanwhile": ("fresh", seen | {"pass_id": "q"}, "a text", answer(), "p"),
        "labeled by another pass meanwhile": ("fresh", seen, "a text", answer(), None),
        "handed back meanwhile": (None, None, "a text", answer(), "p"),
        "changed meanwhile": ("fresh", seen, "another text", answer(), "p"),
        "erased meanwhile": ("fresh", seen, None, answer(), "p"),
        "failed, with an older answer": ("fresh", seen, "a text", answer(status="timeout"), "p"),
        "failed, with an answer to another text": (
            "fresh", seen | {"input_hash": LATER}, "a text", answer(status="timeout"), "p",
        ),
        "failed, without an answer": (None, None, "a text", answer(status="engine_error"), None),
    }  # fmt: skip
    spark.createDataFrame(
        [(case, text, value, label) for case, (value, label, text, *_) in rows.items()],
        f"id STRING, text STRING, verdict STRING, verdict_label {RECORD}",
    ).createOrReplaceTempView("literal_table")
    answers = spark.createDataFrame(
        [(case, HERE, said, seen) for case, (*_, said, seen) in rows.items()],
        f"id STRING, {HASH} STRING, {ANSWER} {RECORD}, {SEEN} STRING",
    )
    opened = opened_as("literal_table", spark.table("literal_table").schema)
    apart = opened_as("literal_table", opened.target.schema, source=opened_as("inputs", StructType()).target)
    new = beside(
        answers_change(opened, task, answers.where(f"{SEEN} IS NULL"), are_new=True), "literal_table"
    )
    within = beside(answers_change(opened, task, answers, keys={"id": ("'c'", "'f'")}), "literal_table")
    return {
        place: beside(answers_change(one, task, answers), "literal_table")
        for place, one in (("in place", opened), ("apart", apart))
    } | {"new": new, "within": within}


FREE = {
    "as it was", "never labeled", "failed, with an answer to another text", "failed, without an answer",
}  # fmt: skip


def test_only_rows_that_are_as_the_pass_saw_them_get_its_answers(written):
    found = written["in place"]
    assert {row.guard for row in found.values()} == {True, False}
    assert {case for case, row in found.items() if row.guard} == FREE


def test_new_rows_are_looked_for_where_no_pass_has_answered_meanwhile(written):
    found = written["new"]
    assert {case for case, row in found.items() if row.narrow} >= {
        case for case, row in found.items() if row.guard
    }
    assert not found["labeled by another pass meanwhile"].narrow


def test_rows_are_looked_for_between_the_least_and_the_greatest_of_their_keys(written):
    found = written["within"]
    assert {row.narrow for row in found.values()} == {True, False}
    assert {case for case, row in found.items() if row.narrow} == {c for c in found if "c" <= c <= "f"}


def test_rows_are_looked_for_everywhere_where_nothing_is_known_of_them(written):
    assert all(row.narrow for row in written["in place"].values())


def test_where_labels_have_a_table_of_their_own_its_rows_have_no_text_to_compare(written):
    found = {case for case, row in written["apart"].items() if row.guard}
    assert found == FREE | {"changed meanwhile", "erased meanwhile"}


def test_the_value_and_the_record_are_the_answers(written):
    row = written["in place"]["as it was"]
    assert (row.verdict, row.verdict_label.value, row.verdict_label.model) == ("rotten", "rotten", "new")
    assert row.verdict_label.pass_id == "now"


def test_a_field_of_a_newer_release_is_null_in_a_new_answer(spark, task, beside, record, answer):
    newer = RECORD.replace("STRUCT<", "STRUCT<calibrator: STRING, ", 1)
    label = record(input_hash=HERE, calibrator="c1")
    spark.createDataFrame(
        [("row", "a text", "fresh", label)], f"id STRING, text STRING, verdict STRING, verdict_label {newer}"
    ).createOrReplaceTempView("literal_newer")
    answers = spark.createDataFrame(
        [("row", HERE, answer(), "p")], f"id STRING, {HASH} STRING, {ANSWER} {RECORD}, {SEEN} STRING"
    )
    opened = opened_as("literal_newer", spark.table("literal_newer").schema)
    change = answers_change(opened, task, answers)
    assert not change.few
    found = beside(change, "literal_newer")["row"]
    assert (found.guard, found.verdict, found.verdict_label.value) == (True, "rotten", "rotten")
    assert found.verdict_label.calibrator is None


def test_corrections_are_stamped_once_and_keep_what_is_known_of_them(spark, beside, record):
    whole = record(source="human", reviewed_at=REVIEWED)
    rows = {
        "a plain UPDATE": ("rotten", record(input_hash="then")),
        "a plain UPDATE of a truncated row": ("rotten", record(status="truncated")),
        "a withheld guess, confirmed": ("fresh", record(value=None, status="uncertain", source="human")),
        "typed before any pass": ("fresh", None),
        "reviewed in an app, without an input": ("fresh", whole | {"input_hash": None}),
        "stamped": ("fresh", whole),
        "the model's": ("fresh", record()),
        "a failure": (None, record(value=None, status="engine_error")),
    }
    spark.createDataFrame(
        [(case, value, label) for case, (value, label) in rows.items()],
        f"id STRING, verdict STRING, verdict_label {RECORD}",
    ).createOrReplaceTempView("literal_corrected")
    corrected = spark.createDataFrame([(case, "now") for case in rows], f"id STRING, {HASH} STRING")
    opened = opened_as("literal_corrected", spark.table("literal_corrected").schema)
    found = beside(corrections_change(opened, corrected), "literal_corrected")
    stamped = {
        case: (row["verdict_label.status"], row["verdict_label.input_hash"])
        for case, row in found.items()
        if row.guard
    }
    assert stamped == {
        "a plain UPDATE": ("ok", "then"),
        "a plain UPDATE of a truncated row": ("truncated", "h"),
        "a withheld guess, confirmed": ("ok", "h"),
        "typed before any pass": ("ok", "now"),
        "reviewed in an app, without an input": ("ok", "now"),
    }
    assert {row.guard for row in found.values()} == {True, False}
    assert {row["verdict_label.source"] for row in found.values()} == {"human"}
    assert found["reviewed in an app, without an input"]["verdict_label.reviewed_at"] == REVIEWED
    assert found["a plain UPDATE"]["verdict_label.reviewed_at"] > REVIEWED


def test_attempts_add_up_while_a_row_is_retried_and_begin_anew_otherwise(spark, record):
    rows = {
        "retry": record(attempts=2), "new": None, "input_changed": record(attempts=2),
        "retry ": record(attempts=None),
    }  # fmt: skip
    pending = spark.createDataFrame(
        [(case, "h", case.strip(), label) for case, label in rows.items()],
        f"id STRING, {HASH} STRING, {STATE} STRING, verdict_label {RECORD}",
    )
    unanswered = pending.limit(1).withColumn(HASH, F.lit("unanswered"))
    answers = spark.createDataFrame(
        [("h", record(attempts=3, pass_id=None))], f"{HASH} STRING, {ANSWER} {RECORD}"
    )
    opened = opened_as("t", StructType())
    found = answered_rows(opened, pending.unionAll(unanswered), answers, "now").collect()
    assert {row.id: (row[ANSWER].attempts, row[SEEN]) for row in found} == {
        "retry": (5, "p"), "new": (3, None), "input_changed": (3, "p"), "retry ": (3, "p"),
    }  # fmt: skip
    assert {row[ANSWER].pass_id for row in found} == {"now"}
    assert len(found) == 4


def test_only_few_rows_that_are_not_inserted_are_sent_to_every_executor(spark, capsys):
    rows = spark.sql("SELECT 'row' AS id, 'fresh' AS verdict")
    many, few = (Change(name, rows, "true", {}, **given) for name, given in (("a", {}), ("b", {"few": True})))

    def is_sent(*changes, **options):
        source_rows(changes, ["id"], **options).explain("extended")
        return "broadcast" in capsys.readouterr().out.partition("Physical Plan")[0]

    assert is_sent(few)
    assert is_sent(few, few)
    assert not is_sent(many)
    assert not is_sent(few, many)
    assert not is_sent(few, insert=True)
