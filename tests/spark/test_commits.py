"""Commits beside other writers: a real conflict, made by a writer that comes in between."""

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.sql import functions as F

from sparklabel.delta.commits import commit_metadata, create_table, retry_on_conflict
from sparklabel.delta.unfinished import is_unfinished
from sparklabel.sql import sql_string


def wait_for(path):
    while not path.exists():
        time.sleep(0.05)


@pytest.fixture
def halfway(spark, tmp_path):
    """A view with the id 0, whose reader says so and goes on when it is told to: the files `reached` and `go`."""
    reached, go = tmp_path / "reached", tmp_path / "go"

    def stop(number):
        reached.touch()
        wait_for(go)
        return number

    wait = F.udf(stop, "bigint").asNondeterministic()
    spark.range(1).select(wait("id").alias("id")).createOrReplaceTempView("halfway")
    yield reached, go
    spark.catalog.dropTempView("halfway")


def test_a_merge_that_conflicts_with_another_writer_is_retried(spark, table, halfway):
    reached, go = halfway
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, 'old' AS text FROM range(3)")
    attempts = []

    def merge():
        attempts.append(1)
        updated = spark.sql(
            f"MERGE INTO {table} t USING halfway s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET text = concat(text, '!')"
        )
        return updated.first()["num_updated_rows"]

    def write():
        wait_for(reached)
        spark.sql(f"UPDATE {table} SET text = 'new' WHERE id = 0").collect()
        go.touch()

    writer = threading.Thread(target=write)
    writer.start()
    assert retry_on_conflict(merge, "The merge") == 1
    writer.join()
    assert len(attempts) == 2
    assert spark.sql(f"SELECT text FROM {table} WHERE id = 0").first().text == "new!"


@pytest.fixture
def instead_of_pauses(monkeypatch):
    """Has something done wherever this thread would pause."""

    def install(act):
        pause, here = time.sleep, threading.current_thread()
        monkeypatch.setattr(
            time, "sleep", lambda s: act(s) if threading.current_thread() is here else pause(s)
        )

    return install


def test_a_table_that_another_driver_makes_at_the_same_moment_is_waited_for(
    spark, tmp_path, instead_of_pauses
):
    made, here = tmp_path / "made", tmp_path / "here"
    create_table(spark, f"delta.`{made}`", "id INT", "", "Making it")
    (here / "_delta_log").mkdir(parents=True)
    instead_of_pauses(lambda _: shutil.copytree(made, here, dirs_exist_ok=True))
    create_table(spark, f"delta.`{here}`", "id INT", "", "Making it")
    assert spark.sql(f"DESCRIBE HISTORY delta.`{here}`").count() == 1


def test_a_table_whose_first_commit_failed_is_made(spark, tmp_path, instead_of_pauses):
    (tmp_path / "_delta_log" / "_staged_commits").mkdir(parents=True)
    (tmp_path / "_delta_log" / ".00000000000000000000.json.1f.tmp").touch()
    instead_of_pauses(lambda _: None)
    create_table(
        spark,
        f"delta.`{tmp_path}`",
        "id INT, day DATE",
        "TBLPROPERTIES ('ours' = 'yes')",
        "Making it",
        ["day"],
    )
    made = spark.sql(f"DESCRIBE DETAIL delta.`{tmp_path}`").first()
    assert (made.partitionColumns, made.properties) == (["day"], {"ours": "yes"})


def test_a_log_without_commits_beside_files_is_not_taken_for_an_unfinished_table(spark, tmp_path):
    (tmp_path / "_delta_log").mkdir()
    assert is_unfinished(spark, str(tmp_path))
    (tmp_path / "rows.parquet").touch()
    assert not is_unfinished(spark, str(tmp_path))


def test_a_folder_that_holds_something_else_is_no_place_for_a_table(spark, tmp_path, instead_of_pauses):
    (tmp_path / "else").touch()
    pauses = []
    instead_of_pauses(pauses.append)
    with pytest.raises(Exception, match=r"DELTA_|FileNotFound"):
        create_table(spark, f"delta.`{tmp_path}`", "id INT", "", "Making it")
    assert 0 < sum(pauses) < 20


def test_columns_that_another_pass_has_just_added_are_a_conflict(spark, table, instead_of_pauses):
    spark.sql(f"CREATE TABLE {table} (id INT) USING DELTA")
    instead_of_pauses(lambda _: None)
    # Of two spellings Spark sees one column only here, and then, like Delta, both: as if one came in between.
    spark.conf.set("spark.sql.caseSensitive", "true")
    added = iter(["a INT, A INT", "id INT", "b INT"])
    try:
        retry_on_conflict(
            lambda: spark.sql(f"ALTER TABLE {table} ADD COLUMNS ({next(added)})"), "Adding columns"
        )
    finally:
        spark.conf.unset("spark.sql.caseSensitive")
    assert spark.table(table).columns == ["id", "b"]


def test_an_error_that_is_not_a_conflict_is_not_retried(spark):
    attempts = []

    def fail():
        attempts.append(1)
        return spark.sql("SELECT raise_error('broken')").collect()

    with pytest.raises(Exception, match="broken"):
        retry_on_conflict(fail, "Nothing")
    assert len(attempts) == 1


def test_metadata_lands_on_the_commit_and_is_gone_afterwards(spark, table):
    spark.sql(f"CREATE TABLE {table} (id INT) USING DELTA")
    with commit_metadata(spark, task="verdict"):
        spark.sql(f"INSERT INTO {table} VALUES (1)")
    spark.sql(f"INSERT INTO {table} VALUES (2)")
    history = spark.sql(f"DESCRIBE HISTORY {table}").select("userMetadata").collect()
    assert [row.userMetadata for row in history] == [None, '{"sparklabel": {"task": "verdict"}}', None]


def test_threads_of_one_session_each_mark_their_own_commits(spark, table):
    tables = [table, f"{table}_other"]
    for name in tables:
        spark.sql(f"CREATE TABLE {name} (id INT) USING DELTA")

    def commit(name):
        for number in range(3):
            with commit_metadata(spark, table=name):
                spark.sql(f"INSERT INTO {name} VALUES ({number})")

    with ThreadPoolExecutor() as pool:
        list(pool.map(commit, tables))
    for name in tables:
        history = spark.sql(f"DESCRIBE HISTORY {name}").select("userMetadata").collect()
        assert [row.userMetadata for row in history] == [json.dumps({"sparklabel": {"table": name}})] * 3 + [
            None
        ]
    assert spark.conf.get("spark.databricks.delta.commitInfo.userMetadata", None) is None
    spark.sql(f"DROP TABLE {tables[1]}")


def test_a_statement_and_a_commit_hold_what_was_written_and_nothing_of_the_environment(spark, table):
    text = "text <> '${env:PATH}' \\u007b"
    assert spark.sql(f"SELECT {sql_string(text)} AS text").first().text == text
    with commit_metadata(spark, where=text):
        spark.sql(f"CREATE TABLE {table} (id INT) USING DELTA")
    written = spark.sql(f"DESCRIBE HISTORY {table}").first().userMetadata
    assert json.loads(written) == {"sparklabel": {"where": text}}
