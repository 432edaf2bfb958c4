"""Examples from a table: people's answers in the prompts of a pass, pinned to a version of the table."""

import json

import pytest

from sparklabel import classification, label_udf, register
from sparklabel.engines.fake import FakeEngine
from sparklabel.errors import ColumnError, TableError
from sparklabel.labeler import Labeler
from sparklabel.splits import is_held_out

pytestmark = pytest.mark.model
BLOCK = len("\n\nText: fresh 07\nAnswer: stale")
SHOWN = sum(not is_held_out([f"fresh {n:02d}"]) for n in range(30))


def asking(table, choice="similar", count=2):
    return classification("state", "text", ["fresh", "stale"], examples_from=(table, count, choice))


def zero_shot_tokens(text):
    plain = classification("state", "text", ["fresh", "stale"])
    (label,) = Labeler(plain, FakeEngine(), model="m").label([[text]])
    return label.prompt_tokens


def tokens(spark, table):
    return [
        row[0] for row in spark.sql(f"SELECT state_label.prompt_tokens FROM {table} WHERE id >= 30").collect()
    ]


@pytest.fixture
def films(spark, table):
    """Thirty rows that people answered before any pass, and three that nobody did; all texts are of one length."""
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', lpad(id, 2, '0')) AS text, "
        "CASE WHEN id < 15 THEN 'fresh' WHEN id < 30 THEN 'stale' END AS state FROM range(33)"
    )
    return table


def test_a_pass_shows_the_nearest_answers_and_says_whose(spark, films, label):
    report = label(films, task=asking(films), adopt=True, adopt_examples=True)
    sentence = f"2 examples a prompt from {films} version 0 ({SHOWN} answers)"
    assert (report.labeled, report.examples) == (3, sentence)
    assert sentence in str(report)
    assert tokens(spark, films) == [zero_shot_tokens("fresh 30") + len("\n\nExamples:") + 2 * BLOCK] * 3
    commit = json.loads(spark.sql(f"DESCRIBE HISTORY {films}").first()["userMetadata"])["sparklabel"]
    assert commit["examples"] == {
        "table": films, "count": 2, "choice": "similar", "version": 0, "answers": SHOWN
    }  # fmt: skip


def test_new_answers_relabel_nothing_and_are_shown_to_new_rows(spark, films, label):
    task = asking(films, "diverse")
    label(films, task=task, adopt=True, adopt_examples=True)
    spark.sql(f"UPDATE {films} SET state_label.source = 'human' WHERE id >= 30")
    assert label(films, task=task).pending == 0
    spark.sql(f"INSERT INTO {films} (id, text) VALUES (33, 'fresh 33')")
    report = label(films, task=task)
    more = sum(not is_held_out([f"fresh {n:02d}"]) for n in range(30, 33))
    assert report.labeled == 1
    assert f"({SHOWN + more} answers)" in report.examples
    # As fixed examples stand in a prompt: "Examples:" and two blocks, each behind a blank line.
    assert max(tokens(spark, films)) == zero_shot_tokens("fresh 30") + len("Examples:\n\n") + 2 * BLOCK


def test_the_first_pass_over_a_table_has_no_examples_yet(small, label):
    report = label(small, task=asking(small))
    assert report.labeled == 6
    assert report.examples.startswith(f"no examples: {small} version ")


def test_a_column_function_takes_them_from_the_active_session(spark, films):
    shown = label_udf(asking(films, count=1), engine="fake", adopt_examples=True)
    (found,) = spark.table(films).where("id = 30").select(shown("text")).first()
    assert found.prompt_tokens == zero_shot_tokens("fresh 30") + len("\n\nExamples:") + BLOCK


def test_a_column_that_no_pass_wrote_gives_examples_only_to_whoever_says_so(films, label):
    refused = rf"takes examples from {films}, whose column 'state' no labeling pass wrote"
    with pytest.raises(ColumnError, match=refused):
        label(films, task=asking(films), column="own", dry_run=True)
    with pytest.raises(ColumnError, match=refused):
        label_udf(asking(films), engine="fake")
    report = label(films, task=asking(films), column="own", dry_run=True, adopt_examples=True)
    assert f"2 examples a prompt would be read from {films}" in str(report)


def test_a_function_tells_which_table_its_examples_are_read_from(spark, films, caplog):
    register(spark, asking(films), engine="fake", adopt_examples=True)
    assert f"the task 'state': 2 examples a prompt from {films} version 0" in caplog.text


def test_a_table_of_examples_that_is_not_there_is_named_by_a_dry_run_too(small, label):
    with pytest.raises(TableError, match=r"no\.such\.table"):
        label(small, task=asking("no.such.table"), dry_run=True)
