"""Audit rows are a random sample of the table."""

from scipy.stats import chisquare

import sparklabel as sl
from sparklabel.reviewing.asking.queue import ReviewQueue
from sparklabel.reviewing.table.sampling import sample_rows
from sparklabel.splits import is_held_out
from sparklabel.table.task_table import open_task_table

ROWS, DRAWN = 13_000, 2_000
TASK = sl.classification("topic", "text", ["a", "b", "c", "d"])


def topic(number):
    """Half of the rows are `a`; `d` is rare, and at the table's end."""
    return "d" if number > 0.95 * ROWS else "abca ba"[number % 7].replace(" ", "b")


def test_the_shares_of_two_thousand_audited_rows_differ_from_the_tables_by_chance_alone(spark, table):
    rows = [(n, f"{topic(n)} {n}") for n in range(ROWS)]
    spark.createDataFrame(rows, "id INT, text STRING").write.format("delta").saveAsTable(table)
    sampled = sample_rows(spark, open_task_table(spark, table, TASK, "id"), TASK, rows=ROWS - 1_000)
    assert len(sampled) == ROWS - 1_000
    queue = ReviewQueue(sampled, audit_share=1.0, judges=10 * ROWS)
    audited = queue.next("ann", DRAWN, [], now=0.0)
    assert len(audited) == DRAWN
    assert all(is_held_out(row.inputs) for row in audited)
    topics = [row.inputs[0][0] for row in audited]
    seen = [topics.count(label) for label in TASK.label_names]
    expected = [sum(topic(n) == label for n in range(ROWS)) * DRAWN / ROWS for label in TASK.label_names]
    assert chisquare(seen, expected).pvalue > 0.01
