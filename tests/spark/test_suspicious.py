"""Human answers of a table that the others contradict."""

import pytest

import sparklabel as sl
from sparklabel.errors import AnswersError, ColumnError, SetupError, TaskError
from sparklabel.reviewing.suspicious import suspicious
from tests.tone_table import TONE, make_tone_table

WRONG = (17, 30)


@pytest.fixture(scope="module")
def name(spark):
    """200 answers, of which two are wrong; and one to a text that changed since, one that is none of the labels, and
    one to an empty text."""
    name = "default.suspected"
    make_tone_table(spark, name, 203)
    spark.sql(f"UPDATE {name} SET tone = if(tone = 'calm', 'angry', 'calm') WHERE id IN {WRONG}")
    spark.sql(f"UPDATE {name} SET tone = 'none' WHERE id = 200")
    spark.sql(f"UPDATE {name} SET text = 'xxxx', tone = 'calm' WHERE id = 201")
    spark.sql(f"UPDATE {name} SET text = '  ', tone = 'calm', tone_label.input_hash = NULL WHERE id = 202")
    yield name
    spark.sql(f"DROP TABLE {name}")


@pytest.fixture(scope="module")
def find(spark, name, tiny_encoder):
    return lambda **options: suspicious(spark, name, TONE, **{"encoder": str(tiny_encoder)} | options)


def test_wrong_answers_come_first(find):
    found = find(n=4)
    assert found.columns == ["id", "text", "answer", "other", "margin"]
    rows = found.collect()
    assert sorted(row.id for row in rows[:2]) == list(WRONG)
    assert [(row.answer, row.other) for row in rows[:2] if row.id == 17] == [("calm", "angry")]
    assert [row.margin < 0 for row in rows] == [True, True, False, False]
    assert rows[0].margin <= rows[1].margin


def test_answers_that_cannot_teach_are_not_looked_at(find):
    found = find(n=1000).collect()
    assert sorted(row.id for row in found) == list(range(200))


def test_it_takes_a_positive_number_of_rows(find):
    for wrong in (0, "ten", True):
        with pytest.raises(SetupError, match="is not a number of rows"):
            find(n=wrong)


def test_written_answers_have_none(spark, name):
    with pytest.raises(TaskError, match="are written"):
        suspicious(spark, name, sl.generation("summary", "text", "Sum up."), key="id")


def test_without_labels_or_answers_it_says_so(spark, small, label, task, tiny_encoder):
    with pytest.raises(ColumnError, match="has no labels"):
        suspicious(spark, small, task, key="id")
    label(small)
    with pytest.raises(AnswersError, match="too few"):
        suspicious(spark, small, task, encoder=str(tiny_encoder))
