"""Passes of several chunks: every row is answered once, and no text stays behind."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.scale.simulation import Staged
from sparklabel.labeling.chunks import Chunks
from sparklabel.labeling.executor import ensure_columns, staging_of
from sparklabel.labeling.request import PassRequest
from sparklabel.labeling.state.lease import Holder
from sparklabel.sql import sql_string
from sparklabel.table.task_table import open_task_table
from sparklabel.udf import labeler_spec

ROWS, INPUTS = 1400, 1300
"""More than two chunks hold, however quick the machine is."""


@pytest.fixture(scope="module")
def large(spark, label, rows_of):
    """A pass over a table of several chunks; some of its inputs are equal, and two are the pass's and not text's."""
    table = "default.large"
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, CASE id WHEN 0 THEN NULL WHEN 1 THEN "
        f"CAST(X'FF20667265736820FE' AS STRING) ELSE concat('fresh ', id % {INPUTS}) END AS text FROM range({ROWS})"
    )
    report = label(table)
    location = spark.sql(f"DESCRIBE DETAIL {table}").first()["location"]
    yield SimpleNamespace(table=table, report=report, rows=rows_of(table), location=location)
    spark.sql(f"DROP TABLE {table}")


def test_every_row_is_answered_whatever_its_chunk(large):
    # Row 0 is NULL and row 1 bytes; 1300 and 1301 have their texts.
    assert (large.report.labeled, large.report.distinct_inputs) == (ROWS, INPUTS + 2)
    assert large.report.by_status == {"ok": ROWS - 1, "empty_input": 1}
    assert {row.value for i, row in large.rows.items() if i} == {"fresh"}


def test_no_text_of_the_table_is_written_beside_it(large):
    folder = Path(large.location.removeprefix("file:"), "_sparklabel")
    files = [path for path in folder.rglob("*.parquet") if "-todo" in str(path)]
    assert files == []


def test_staging_gets_the_files_and_commits_that_the_simulation_of_large_passes_counts(large):
    log = sorted(Path(large.location.removeprefix("file:"), "_sparklabel").glob("verdict*/_delta_log/*.json"))
    commits = [[json.loads(line) for line in file.read_text().splitlines()] for file in log]
    files = [sum("add" in action for action in commit) for commit in commits]
    chunks = [n for n, commit in zip(files, commits, strict=True) if any("txn" in one for one in commit)]
    others = [n for n, commit in zip(files, commits, strict=True) if not any("txn" in one for one in commit)]
    beats = others.count(1) - 1  # behind the lease's own row
    assert len(chunks) > 1
    assert Staged.by([Chunks(2, INPUTS).files(INPUTS)] * len(chunks), beats) == Staged(
        sum(files), len(commits)
    )


def test_texts_that_a_killed_pass_of_an_earlier_release_left_are_removed(spark, forty, task, label):
    table = open_task_table(spark, forty, task, "id")
    request = PassRequest(labeler_spec(task, "m", "fake", {}), table)
    dead = staging_of(spark, request, ensure_columns(spark, request))
    texts = f"delta.`{dead.path}-todo`"
    spark.sql(f"CREATE TABLE {texts} (input_hash STRING, texts ARRAY<STRING>, pass_id STRING) USING DELTA")
    spark.sql(f"INSERT INTO {texts} VALUES ('h', array('t'), 'dead')")
    sign = json.dumps(asdict(replace(Holder.this("dead", None), host="elsewhere")))
    spark.sql(
        f"INSERT INTO {dead.sql} (pass_id, staged_at, lease) VALUES ('dead', "
        f"current_timestamp() - INTERVAL 6 MINUTES, {sql_string(sign)})"
    )
    label(forty)
    assert spark.sql(f"SELECT * FROM {texts}").count() == 0
