"""A commit that is in the log although its writer heard of a failure: nothing is written or counted twice.

As when a store's reply is lost. Hadoop's local file system writes a file and then its checksum; what stands in the
checksum's place already makes the second step fail: a folder with an error of the file system, a file with the claim
that the commit was there before.
"""

from pathlib import Path

import pytest

from sparklabel.errors import TableError
from sparklabel.labeling.state import lease


@pytest.fixture
def spoil_next_commit(monkeypatch):
    """Makes the next commit to the table in a folder one of unknown outcome. In staging it would be a heartbeat's."""
    monkeypatch.setattr(lease, "_BEAT_SECONDS", 3600.0)

    def spoil(folder, by):
        newest = max(int(file.stem) for file in folder.glob("_delta_log/*.json"))
        by(folder / "_delta_log" / f".{newest + 1:020}.json.crc")

    return spoil


def folder_of(spark, table):
    return Path(spark.sql(f"DESCRIBE DETAIL {table}").first()["location"].removeprefix("file:"))


def staging_of(spark, table):
    (staging,) = folder_of(spark, table).glob("_sparklabel/verdict_label-*")
    return staging


def merges(spark, table):
    """The rows that each MERGE changed."""
    history = spark.sql(f"DESCRIBE HISTORY {table}").where("operation = 'MERGE'").collect()
    return [int(row["operationMetrics"]["numTargetRowsUpdated"]) for row in history]


def values(rows):
    return {(row.value, row.label.status, row.label.attempts) for row in rows.values()}


def test_a_merge_that_raised_and_yet_committed_is_done_and_the_next_call_knows(
    spark, forty, label, behind_chunk, rows_of, spoil_next_commit
):
    with (
        behind_chunk(lambda _: spoil_next_commit(folder_of(spark, forty), Path.mkdir)),
        pytest.raises(TableError, match=r"(?s)could not finish.*must both be directories.*Call again"),
    ):
        label(forty)
    written = rows_of(forty)
    assert values(written) == {("fresh", "ok", 1)}
    again = label(forty)
    assert (again.pending, again.labeled, again.states) == (0, 0, {"done": 40})
    assert (merges(spark, forty), rows_of(forty)) == ([40], written)


def test_a_merge_that_meets_its_own_commit_writes_no_row_again_and_reports_them_all(
    spark, forty, label, behind_chunk, rows_of, spoil_next_commit
):
    with behind_chunk(lambda _: spoil_next_commit(folder_of(spark, forty), Path.touch)):
        report = label(forty)
    assert (report.labeled, report.by_status) == (40, {"ok": 40})
    assert values(rows_of(forty)) == {("fresh", "ok", 1)}
    assert sum(merges(spark, forty)) == 40


@pytest.mark.parametrize("by", [Path.mkdir, Path.touch])
def test_a_chunk_that_raised_and_yet_was_staged_is_not_computed_again(
    spark, table, label, behind_chunk, rows_of, spoil_next_commit, by
):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(300)")
    spoilt = []

    def spoil(line):
        spoilt.append(line["inputs"])
        spoil_next_commit(staging_of(spark, table), by)

    with behind_chunk(spoil), pytest.raises(TableError, match=f"could not finish the pass over {table}"):
        label(table)
    again = label(table)
    assert len(spoilt) == 1
    assert spoilt[0] < again.resumed_inputs <= 300
    assert (again.labeled, values(rows_of(table))) == (300, {("fresh", "ok", 1)})


def test_a_correction_attributed_in_a_commit_that_raised_stays_a_persons(
    spark, forty, label, rows_of, spoil_next_commit
):
    label(forty)
    spark.sql(f"UPDATE {forty} SET verdict = 'rotten' WHERE id = 3")
    spark.sql(f"UPDATE {forty} SET text = 'fresh since' WHERE id = 4")
    spoil_next_commit(folder_of(spark, forty), Path.mkdir)
    with pytest.raises(TableError, match="could not finish"):
        label(forty)
    again = label(forty)
    assert (again.labeled, again.human_kept, again.corrections_stamped) == (1, 1, 0)
    assert (rows_of(forty)[3].value, rows_of(forty)[3].label.source) == ("rotten", "human")
