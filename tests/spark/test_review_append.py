"""Answers are appended once, also by a process that everybody takes for dead."""

from sparklabel.reviewing.table.worker import TableWorker
from tests.spark.test_review_flush import _numbered, about, said


def test_what_a_dead_process_still_writes_is_not_appended_again(spark, small):
    worker = TableWorker(spark, about(small), "j")
    first, second = _numbered(1, said(1, "rotten")), _numbered(2, said(2, "fresh"))
    assert worker.append("verdict", []) == 0
    answers = worker._made("verdict")  # as the new process has it, which found no event there
    worker.append("verdict", [first])
    answers.append(spark, [first, second], "j")
    assert [event.seq for event in worker.past("verdict")] == [1, 2]
    spark.sql(f"DROP TABLE {small}_verdict_answers")
