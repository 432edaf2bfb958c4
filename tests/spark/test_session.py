"""The local session: Delta works in it, it is quiet, and it says what it cannot do."""

import subprocess
import sys
from pathlib import Path

import pytest

from sparklabel.delta.session import LOCAL_CONF, require_delta, spark_session
from sparklabel.errors import SetupError
from tests.jvm import QUICK_JVM

CONF = Path(__file__).parents[2] / "conf" / "spark-local.conf"


def run_python(program):
    """Runs `program` in a process of its own, with `conf` for a session that starts quickly."""
    conf = {
        "spark.master": "local[1]",
        "spark.driver.extraJavaOptions": QUICK_JVM,
    }
    program = f"from sparklabel.delta.session import spark_session\nconf = {conf}\n{program}"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True
    )


def test_a_merge_reaches_a_delta_table(spark, table):
    spark.sql(f"CREATE TABLE {table} USING delta AS SELECT 1 AS id, 'old' AS text")
    spark.sql(
        f"MERGE INTO {table} t USING (SELECT explode(array(1, 2)) AS id, 'new' AS text) s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    assert sorted(spark.table(table).collect()) == [(1, "new"), (2, "new")]


def test_deletion_vectors_work_where_they_are_on(spark, table):
    spark.sql(
        f"CREATE TABLE {table} (id INT) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
    )
    spark.sql(f"INSERT INTO {table} VALUES (1), (2), (3)")
    spark.sql(f"DELETE FROM {table} WHERE id = 2")
    assert sorted(spark.table(table).collect()) == [(1,), (3,)]


def test_the_active_session_is_returned(spark):
    assert spark_session() is spark


def test_an_active_session_takes_what_can_still_be_set(spark):
    spark_session({"spark.sql.shuffle.partitions": "3"})
    assert spark.conf.get("spark.sql.shuffle.partitions") == "3"
    spark.conf.set("spark.sql.shuffle.partitions", "2")


def test_what_only_a_new_session_can_have_is_refused(spark):
    with pytest.raises(SetupError, match=r"spark\.master can only be set when one starts"):
        spark_session({"spark.master": "local[7]"})


def test_workers_run_this_python(spark):
    from pyspark.sql.functions import udf

    row = spark.range(1).select(udf(lambda _: sys.executable)("id").alias("python")).first()
    assert row.python == sys.executable


def test_a_session_without_delta_is_refused(spark):
    without = spark.newSession()
    without.conf.set("spark.sql.catalog.spark_catalog", "not.delta.Catalog")
    with pytest.raises(SetupError, match="no Delta"):
        require_delta(without)


def test_a_session_starts_works_and_stops_without_printing_anything():
    run = run_python(
        "spark = spark_session(conf)\n"
        "spark.sql('SELECT row_number() OVER (ORDER BY id) FROM range(3)').collect()\n"
        "spark.stop()"
    )
    assert run.stdout + run.stderr == ""


def test_the_conf_file_holds_the_sessions_settings():
    lines = (line.split(maxsplit=1) for line in CONF.read_text().splitlines())
    settings = {line[0]: line[1] for line in lines if len(line) == 2 and line[0] != "#"}
    assert LOCAL_CONF.items() <= settings.items()
