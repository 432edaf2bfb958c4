"""How many human answers are read, on rows written out."""

from sparklabel.table.human_answers import _bounded
from sparklabel.table.row_states import HASH


def test_of_too_many_answers_those_with_the_smallest_hashes_are_read_and_the_others_counted(spark):
    rows = spark.createDataFrame([(number,) for number in "hcafbdge"], f"{HASH} STRING")
    read, left_out = _bounded(rows, 3)
    assert [row[HASH] for row in read] == ["a", "b", "c"]
    assert sum(left_out.values()) == 5


def test_a_few_answers_are_all_read(spark):
    rows = spark.createDataFrame([("b",), ("a",)], f"{HASH} STRING")
    read, left_out = _bounded(rows, 2)
    assert (len(read), sum(left_out.values())) == (2, 0)
