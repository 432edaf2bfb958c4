"""The states of a view's rows for the scope of a pass, what is read of them, and which scopes are refused."""

import pytest
from pyspark.sql import functions as F

from sparklabel import extraction
from sparklabel.delta.snapshot import UNVERSIONED, TableSnapshot
from sparklabel.errors import TableError
from sparklabel.labels.record import input_hash, label_ddl
from sparklabel.table.label_columns import LabelColumns
from sparklabel.table.row_states import (
    ANSWER,
    HASH,
    STATE,
    Scope,
    condition_errors,
    distinct_inputs,
    failure_of,
    implicit_corrections,
    labeled_rows,
    pending_columns,
    records_of,
    row_states,
    rows_by_status,
    rows_kept,
    unattributed,
)
from sparklabel.table.shards import Shard
from sparklabel.table.task_table import TaskTable

RECORD = label_ddl("STRING")
BOTH = LabelColumns("verdict", "verdict_label", ())
MISSING = LabelColumns("verdict", "verdict_label", (("verdict", "STRING"), ("verdict_label", RECORD)))


def opened(name, schema, columns=BOTH):
    target = TableSnapshot(name, name, "", UNVERSIONED, schema, {})
    return TaskTable(target, target, ("id",), columns)


@pytest.fixture(scope="module")
def asked(record, task):
    """The record of an answer to the text `text`, by the model `m` to the task; changed fields."""
    mine = {"input_hash": input_hash([b"text"]), "task_fingerprint": task.fingerprint}
    return lambda **changed: record(**mine | changed)


@pytest.fixture(scope="module")
def table(spark, asked):
    """A view with rows in several states, opened."""
    rows = {
        "new": (None, None),
        "done": ("fresh", asked()),
        "another model": ("fresh", asked(model="older", pass_id="q")),
        "another task": ("fresh", asked(task_fingerprint="older", attempts=3)),
        "another text": ("fresh", asked(input_hash="older")),
        "failed twice": (None, asked(value=None, status="timeout", attempts=2)),
        "unsure": ("fresh", asked(confidence=0.2)),
        "corrected": ("rotten", asked()),
        "confirmed": ("fresh", asked(source="human")),
        "typed": ("fresh", asked(source="Human", status=None)),
    }
    frame = spark.createDataFrame(
        [(case, "text", value, label) for case, (value, label) in rows.items()],
        f"id STRING, text STRING, verdict STRING, verdict_label {RECORD}",
    )
    frame.createOrReplaceTempView("literal_states")
    return opened("literal_states", frame.schema)


@pytest.fixture(scope="module")
def states(spark, table, task):
    """The state of each row of a scope."""

    def evaluate(scope=Scope(), opened=table, **options):  # noqa: B008 frozen
        rows = row_states(spark, opened, task, scope, **{"models": {"m": 0.0}} | options)
        return {row.id: row[STATE] for row in rows.select("id", STATE).collect()}

    return evaluate


STATES = {
    "new": "new", "done": "done", "another model": "model_changed", "another task": "task_changed",
    "another text": "input_changed", "failed twice": "retry", "unsure": "done", "corrected": "human",
    "confirmed": "human", "typed": "human",
}  # fmt: skip


def test_every_row_of_the_table_has_a_state(states):
    assert states() == STATES


def test_the_policy_of_retries_and_the_threshold_are_the_scopes(states):
    found = states(Scope(relabel="none", retry=(("timeout", 2),)), min_confidence=0.5)
    assert found == STATES | {"another task": "done", "failed twice": "done", "unsure": "retry"}


def test_a_condition_and_a_shard_each_choose_rows(states):
    assert states(Scope(where="id LIKE 'another %'")).keys() == {
        "another model",
        "another task",
        "another text",
    }
    shards = [states(Scope(shard=Shard(number, 2))) for number in (0, 1)]
    assert shards[0] | shards[1] == STATES
    assert len(shards[0]) + len(shards[1]) == len(STATES)
    both = states(Scope(where="id LIKE 'another %'", shard=Shard(0, 2)))
    assert both == {case: state for case, state in shards[0].items() if case.startswith("another")}


def test_a_scope_is_whole_without_a_condition_and_a_shard():
    scopes = (Scope(), Scope(where="true"), Scope(shard=Shard(0, 2)), Scope(where="true", shard=Shard(0, 2)))
    assert [scope.is_whole for scope in scopes] == [True, False, False, False]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("id >", "where='id >' is not a condition on literal_states: "),
        ("nope = 1", "where='nope = 1' is not a condition on literal_states: "),
        (" ", "where=' ' is not a SQL condition."),
        (5, "where=5 is not a SQL condition."),
        ("RAND () < 0.5", r"selects other rows each time it is evaluated \(RAND\)"),
    ],
)
def test_what_is_no_condition_is_refused(states, where, message):
    with pytest.raises(TableError, match=message):
        states(Scope(where=where))


@pytest.mark.parametrize(
    "failing",
    [
        "1 / (id = 'new')::INT = 1",
        "CAST(id AS INT) = 1",
        "to_date(id, 'yyyy') IS NULL",
        "array(1)[length(id)] = 1",
        "element_at(array(1), length(id) - length(id)) = 1",
    ],
)
def test_a_condition_that_fails_on_a_row_is_named_without_the_row(states, failing):
    with (
        pytest.raises(TableError, match="fails on a row of tickets") as caught,
        condition_errors(failing, "tickets"),
    ):
        states(Scope(where=failing))
    assert "new" not in caught.value.message.replace(repr(failing), "")


def test_without_a_condition_a_row_that_fails_is_the_tables(states):
    with (
        pytest.raises(TableError, match="A row of tickets cannot be computed"),
        condition_errors(None, "tickets"),
    ):
        states(Scope(where="1 / (id = 'new')::INT = 1"))


def test_a_table_that_was_never_labeled_has_new_rows(spark, states):
    frame = spark.createDataFrame([("row", "text")], "id STRING, text STRING")
    frame.createOrReplaceTempView("literal_unlabeled")
    assert states(opened=opened("literal_unlabeled", frame.schema, MISSING)) == {"row": "new"}


def test_a_record_of_another_release_is_read_as_this_release_knows_it(spark, task, asked):
    older = RECORD.replace(", prompt_tokens: INT, output_tokens: INT>", ", mood: STRING>")
    label = {name: value for name, value in asked().items() if name != "prompt_tokens"} | {"mood": "new"}
    frame = spark.createDataFrame(
        [("row", "text", "fresh", label)], f"id STRING, text STRING, verdict STRING, verdict_label {older}"
    )
    frame.createOrReplaceTempView("literal_older")
    (row,) = labeled_rows(spark, opened("literal_older", frame.schema), task).collect()
    assert row.verdict_label.prompt_tokens is None
    assert "mood" not in row.verdict_label.asDict()
    assert (row.verdict_label.model, row[STATE], row[HASH]) == ("m", "model_changed", input_hash([b"text"]))


def test_a_value_with_other_fields_is_read_as_the_task_knows_it(spark):
    invoice = extraction("invoice", "text", {"vendor": "string", "total": "number"})
    frame = spark.sql(
        "SELECT 'row' AS id, 'text' AS text, named_struct('vendor', 'Zoë', 'mood', 'fine') AS invoice, "
        f"CAST(NULL AS {label_ddl('STRUCT<vendor: STRING, mood: STRING>')}) AS invoice_label"
    )
    frame.createOrReplaceTempView("literal_invoices")
    columns = LabelColumns("invoice", "invoice_label", ())
    (row,) = labeled_rows(spark, opened("literal_invoices", frame.schema, columns), invoice).collect()
    assert row.invoice.asDict() == {"vendor": "Zoë", "total": None}
    assert row[STATE] == "human"


def test_corrections_without_a_whole_record_and_those_that_nobody_signed_are_told_apart(spark, table, task):
    rows = row_states(spark, table, task, Scope(), {"m": 0.0}).select(
        "id", unattributed().alias("unattributed"), implicit_corrections().alias("implicit")
    )
    found = {row.id: (row.unattributed, row.implicit) for row in rows.collect()}
    assert {case for case, (one, _) in found.items() if one} == {"corrected", "typed"}
    assert {case for case, (_, one) in found.items() if one} == {"corrected"}
    assert {one for pair in found.values() for one in pair} == {True, False}


def test_a_pending_row_keeps_its_key_its_text_and_what_decides_who_may_write(spark, table, task):
    rows = row_states(spark, table, task, Scope(), {"m": 0.0}).select(*pending_columns(table, task))
    row = rows.where("id = 'another model'").first().asDict(recursive=True)
    kept = {"pass_id": "q", "attempts": 1, "status": "ok", "input_hash": input_hash([b"text"])}
    assert row == {
        "id": "another model", "_sparklabel_text0": "text", "verdict_label": kept,
        HASH: input_hash([b"text"]), STATE: "model_changed",
    }  # fmt: skip


def test_an_input_is_asked_once_however_many_rows_have_it(spark, table, task):
    rows = row_states(spark, table, task, Scope(), {"m": 0.0}).select(*pending_columns(table, task))
    once = distinct_inputs(rows, task)
    assert [tuple(row) for row in once.collect()] == [(input_hash([b"text"]), "text")]
    assert once.columns == [HASH, "text"]
    by_state = distinct_inputs(rows, task, STATE)
    assert by_state.columns == [HASH, STATE, "text"]
    assert by_state.count() == len(set(STATES.values()))
    all_of_them = distinct_inputs(rows, task, STATE, are_distinct=True)
    assert all_of_them.columns == [HASH, STATE, "text"]
    assert all_of_them.count() == len(STATES)


def test_records_are_found_by_who_answered_which_version_of_the_task(spark, table, task):
    found = records_of(spark, table, ["m"], task.fingerprint).select("record.*").collect()
    assert len(found) == 7
    assert {(row.model, row.task_fingerprint) for row in found} == {("m", task.fingerprint)}
    assert records_of(spark, table, ["older"], task.fingerprint).count() == 1
    assert records_of(spark, table, ["older"], "older").count() == 0


def test_what_a_pass_wrote_is_counted_by_status(spark, table):
    assert rows_by_status(spark, table, "q") == {"ok": 1}
    assert rows_by_status(spark, table, "p") == {"ok": 6, "timeout": 1, None: 1}
    assert rows_by_status(spark, table, "r") == {}


def test_failures_keep_older_answers_and_one_of_them_is_told(spark, table, task, asked):
    pending = row_states(spark, table, task, Scope(), {"m": 0.0}).select(*pending_columns(table, task))
    schema = f"{HASH} STRING, {ANSWER} {RECORD}"
    failed = asked(value=None, status="timeout", error="too slow")
    answers = spark.createDataFrame(
        [(input_hash([b"text"]), failed), ("x", failed | {"error": "and later"}), ("y", asked(error="none"))],
        schema,
    )
    assert (
        rows_kept(
            table, pending.where("id IN ('another model', 'new', 'failed twice', 'another text')"), answers
        )
        == 1
    )
    assert failure_of(answers) == "and later"
    assert failure_of(answers.limit(0)) == ""
    fine = answers.withColumn(ANSWER, F.col(ANSWER).withField("status", F.lit("ok")))
    assert (rows_kept(table, pending, fine), failure_of(fine)) == (0, "")
