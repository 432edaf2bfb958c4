"""The jobs run under spark-submit, as their first lines say."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from sparklabel.delta.jars import delta_jars

ROOT = Path(__file__).parents[2]
QUICKER = [
    "--driver-java-options", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "--conf", "spark.sql.codegen.wholeStage=false", "--conf", "spark.sql.codegen.factoryMode=NO_CODEGEN",
]  # fmt: skip
TASK = """
kind: classification
name: verdict
inputs: [text]
labels: [fresh, rotten]
"""


def spark_submit(*arguments):
    submit = Path(find_spec("pyspark").origin).parent / "bin" / "spark-submit"
    command = [str(submit), "--properties-file", str(ROOT / "conf" / "spark-local.conf"), "--master", "local[1]",
               "--jars", ",".join(map(str, delta_jars())), *QUICKER]  # fmt: skip
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    return subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=500
    )


def test_the_labeling_job_labels_a_table_in_place(spark, tmp_path):
    path, task = tmp_path / "reviews", tmp_path / "verdict.yaml"
    task.write_text(TASK)
    spark.sql(
        f"CREATE TABLE delta.`{path}` USING DELTA AS SELECT id, concat('rotten ', id) AS text FROM range(5)"
    )
    run = spark_submit(
        str(ROOT / "jobs" / "label.py"), "--table", str(path), "--task", str(task), "--key", "id", "--engine", "fake"
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "labeled 5 rows" in run.stdout
    rows = spark.sql(f"SELECT verdict, verdict_label.status AS status FROM delta.`{path}`").collect()
    assert [tuple(row) for row in rows] == [("rotten", "ok")] * 5
