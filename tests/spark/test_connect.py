"""Everything works over Spark Connect: a client and a server of its own, in a process of its own."""

import os
import subprocess
import sys

PROGRAM = """
import sys
from sparklabel import classification, evaluate, finetune, label_table, label_udf, register, spark_session
from sparklabel.reviewing.records import Event
from sparklabel.reviewing.table.worker import TableWorker

spark = spark_session({
    "spark.master": "local[2]", "spark.api.mode": "connect", "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
})
print(type(spark).__module__)
task = classification("verdict", "text", ["fresh", "rotten"])
table = sys.argv[1]
spark.sql(f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT id, if(id = 3, NULL, concat('fresh ', id)) AS text "
          "FROM range(6) WHERE id <> 4")  # 5 is held out
frame = spark.sql(f"SELECT * FROM delta.`{table}`")
print(frame.where("id = 1").select(label_udf(task, engine="fake")("text").value).first()[0])
register(spark, task, engine="fake")
print(spark.sql("SELECT label_verdict(text => 'rotten').value").first()[0])
report = label_table(spark, table, task, key="id", engine="fake", progress=False)
print(report.labeled, dict(report.by_status), report.prompt_tokens > 0)
spark.sql(f"UPDATE delta.`{table}` SET verdict = 'rotten' WHERE id = 0")
spark.sql(f"UPDATE delta.`{table}` SET verdict_label.source = 'human' WHERE id IN (1, 2, 5)")
report = evaluate(spark, table, task, key="id", engine="fake")
print(report.metrics.n, round(report.accuracy, 2), report.set_aside)
tuned = finetune(spark, table, task, key="id", base=sys.argv[2], registered_name="tuned", progress=False)
print(tuned.model, tuned.answers, tuned.agreements, tuned.gate.n, tuned.gate.verdict)
ranks = finetune(spark, table, task, key="id", base=sys.argv[2], registered_name="ranks", num_processes=2,
                 progress=False)
print(ranks.model, ranks.processes, ranks.steps == tuned.steps, abs(ranks.loss - tuned.loss) < 0.01)
spark.sql(f"INSERT INTO delta.`{table}` (id, text) VALUES (6, 'fresh 6')")
again = label_table(spark, table, task, key="id", model=tuned.model, relabel="model", progress=False)
print(again.labeled, dict(again.by_status), again.corrections_stamped)

table = f"{table}_reviewed"
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
THIN = """
import sys

# What pyspark-client, the client of Spark Connect alone, comes without.
sys.modules["py4j"] = sys.modules["pyspark.core"] = None
import sparklabel
from sparklabel.delta.errors import java_errors

print(sparklabel.label_table.__name__, sparklabel.finetune.__name__, java_errors())
"""


def test_columns_functions_passes_fine_tuning_and_a_review_s_table_work_over_spark_connect(
    tiny_model, tmp_path, new_mlflow_store
):
    run = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", PROGRAM, str(tmp_path / "table"), str(tiny_model)],
        capture_output=True, text=True, timeout=500,
        env=os.environ | {"MLFLOW_TRACKING_URI": new_mlflow_store(tmp_path)},
    )  # fmt: skip
    assert run.stdout.splitlines() == [
        "pyspark.sql.connect.session", "fresh", "rotten", "5 {'empty_input': 1, 'ok': 4} True", "1 1.0 3",
        "models:/tuned/1 3 2 1 inconclusive", "models:/ranks/1 2 True True", "1 {'ok': 1} 1",
        "6 ('fresh 0',) {\"id\":0}", "2 3 3", "Merged(written=1, taken_back=0, unchanged=1, moved={})",
        "rotten kim 2026-11-02T10:00:00.000001+00:00 True",
    ], run.stderr  # fmt: skip


def test_nothing_needs_py4j_where_only_sparks_client_is_installed():
    run = subprocess.run([sys.executable, "-c", THIN], capture_output=True, text=True, timeout=300)
    assert run.stdout == "label_table finetune ()\n", run.stderr
