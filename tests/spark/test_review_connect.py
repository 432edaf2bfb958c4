"""A review writes over Spark Connect too: a client and a server of its own, in a process of its own."""

import subprocess
import sys

PROGRAM = """
import sys
from sparklabel import classification, spark_session
from sparklabel.reviewing.records import Event
from sparklabel.reviewing.table.worker import TableWorker

spark = spark_session({
    "spark.master": "local[2]", "spark.api.mode": "connect", "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN", "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
})
print(type(spark).__module__)
task, table = classification("verdict", "text", ["fresh", "rotten"]), sys.argv[1]
spark.sql(f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(6)")
worker = TableWorker(spark, {"table": table, "tasks": [task.to_dict()], "key": ["id"]}, "j")
worker.check()
asked = sorted(worker.load("verdict", 10), key=lambda row: row.inputs)
print(len(asked), asked[0].inputs, asked[0].key)
events = [
    Event(event_id=f"e{seq}", task="verdict", key=asked[at].key, input_hash=asked[at].input_hash, kind=kind,
          value=value, reviewer="kim", seq=seq, answered_at=f"2026-11-02T10:00:00.00000{seq}+00:00")
    for seq, (at, kind, value) in enumerate([(1, "answer", "rotten"), (2, "answer", "fresh"), (2, "undo", None)], 1)
]
print(worker.append("verdict", events[:2]), worker.append("verdict", events), worker.append("verdict", events))
print(worker.merge("verdict"))
row = worker.current("verdict", [asked[1].input_hash])[asked[1].input_hash]
print(row.label.value, row.label.reviewer, row.label.reviewed_at, worker.past("verdict") == events)
spark.stop()
"""


def test_answers_are_appended_merged_and_read_over_spark_connect(tmp_path):
    run = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", PROGRAM, str(tmp_path / "table")],
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert run.stdout.splitlines() == [
        "pyspark.sql.connect.session",
        "6 ('fresh 0',) {\"id\":0}",
        "2 3 3",
        "Merged(written=1, taken_back=0, unchanged=1, moved={})",
        "rotten kim 2026-11-02T10:00:00.000001+00:00 True",
    ], run.stderr
