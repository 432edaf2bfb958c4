"""Which human answers train and which judge, without a table."""

import pytest
from pyspark.sql.types import StructType

from sparklabel import classification
from sparklabel.delta.snapshot import TableSnapshot
from sparklabel.errors import AnswersError
from sparklabel.table.human_answers import HumanAnswer, HumanAnswers, one_vote_each
from sparklabel.table.label_columns import LabelColumns
from sparklabel.table.task_table import TaskTable
from sparklabel.training.checks import check_answers

TASK = classification("tone", "text", ["calm", "angry"])
TABLE = TableSnapshot("/data/t", "delta.`/data/t`", "/data/t", 0, StructType(), {})
OPENED = TaskTable(TABLE, TABLE, ("id",), LabelColumns("my tone", "my tone_label", ()))


def answers(*pairs):
    return HumanAnswers(tuple(HumanAnswer((text,), answer, agreed) for text, answer, agreed in pairs), (), {})


def test_copies_of_a_text_have_one_vote_in_the_gate():
    copies = [
        HumanAnswer((text,), answer, True)
        for text, answer in [("A b", "calm"), ("a  B", "calm"), ("a b", "angry")]
    ]
    other = HumanAnswer(("c",), "angry", True)
    assert [(a.inputs, a.answer) for a in one_vote_each([*copies, other])] == [
        (("A b",), "calm"),
        (("c",), "angry"),
    ]


def test_an_adopted_column_may_train_although_no_model_agreed():
    check_answers(answers(("a", "calm", None), ("b", "angry", None)), TASK, OPENED, force=False)


def test_corrections_alone_are_refused_unless_forced():
    found = answers(("a", "calm", False), ("b", "angry", False))
    with pytest.raises(AnswersError, match="All human answers disagree"):
        check_answers(found, TASK, OPENED, force=False)
    check_answers(found, TASK, OPENED, force=True)


@pytest.mark.parametrize("given", [[], [("a", "calm", False), ("b", "angry", False)]])
def test_a_hint_is_sql_for_this_table_and_its_column(given):
    with pytest.raises(AnswersError) as caught:
        check_answers(answers(*given), TASK, OPENED, force=False)
    update = "UPDATE delta.`/data/t` SET " + ("" if given else "`my tone` = '...', ")
    assert f"{update}`my tone_label`.source = 'human' WHERE ...;" in caught.value.hint
