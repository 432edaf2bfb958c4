"""What is stored, written out: names and formats in tables, beside them, in their history and in MLflow.

Tables, caches and models of every release hold these. A test that fails here has found a change that an older table or
model would not survive: mend the code, not the expectation.
"""

import json
import sqlite3
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from pyspark.sql.types import LongType, StructField, StructType

import sparklabel as sl
from sparklabel import registry
from sparklabel.confidence.calibrators import Isotonic, Platt, Temperature, calibrator_from_json
from sparklabel.delta.commits import commit_metadata
from sparklabel.delta.snapshot import TableSnapshot
from sparklabel.hashing import file_sha256
from sparklabel.labeling.options import StorageOptions
from sparklabel.labeling.request import PassRequest
from sparklabel.labeling.state.answer_cache import open_cache
from sparklabel.labeling.state.lease import Holder
from sparklabel.labeling.state.staging import open_staging
from sparklabel.labeling.tracking import track_pass
from sparklabel.labels import predicates, record, status
from sparklabel.models.manifest import ModelManifest
from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.records import Event
from sparklabel.reviewing.table.event_rows import KeyColumn, columns
from sparklabel.splits import is_held_out
from sparklabel.table.history import ANSWERS, COLUMNS, CORRECTIONS, RESTORED, UNDO
from sparklabel.table.label_columns import LabelColumns
from sparklabel.table.labels_table import make_labels_table
from sparklabel.table.recorded_tasks import TASK_PROPERTY, Calibration, RecordedTask
from sparklabel.table.shards import Shard
from sparklabel.table.task_table import TaskTable
from sparklabel.udf import labeler_spec, prepare

pytestmark = pytest.mark.usefixtures("store")
TASKS = Path(__file__).parents[2] / "conf" / "tasks"
TASK = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge.")
TARGET = TableSnapshot(
    "tickets", "`tickets`", "/data/tickets", 7, StructType([StructField("id", LongType())]), {}
)
RECORD = (
    "STRUCT<value: STRING, confidence: DOUBLE, raw_confidence: DOUBLE, "
    "alternatives: ARRAY<STRUCT<value: STRING, probability: DOUBLE>>, "
    "field_confidence: ARRAY<STRUCT<field: STRING, confidence: DOUBLE, raw_confidence: DOUBLE>>, "
    "status: STRING, error: STRING, source: STRING, model: STRING, task_fingerprint: STRING, input_hash: STRING, "
    "pass_id: STRING, attempts: INT, labeled_at: TIMESTAMP_LTZ, reviewer: STRING, reviewed_at: TIMESTAMP_LTZ, "
    "review_reason: STRING, prompt_tokens: INT, output_tokens: INT>"
)
GOES_SOON = (
    "TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 1 hour', 'delta.appendOnly' = 'false', "
    "'delta.enableChangeDataFeed' = 'false', 'delta.enableDeletionVectors' = 'false', "
    "'delta.dataSkippingNumIndexedCols' = '0')"
)


class Session:
    """Stands for a Spark session: keeps what it is told, and does nothing. Every table that it is asked for is there,
    at version 0."""

    def __init__(self):
        self.said, self.settings = [], {}
        self.conf = SimpleNamespace(
            get=self.settings.get, set=self.settings.__setitem__, unset=self.settings.pop
        )

    def sql(self, text):
        if not text.startswith(("SELECT", "DESCRIBE")):
            self.said.append(text)
        return SimpleNamespace(schema=None, collect=lambda: [{"version": 0}])


@pytest.fixture(autouse=True)
def is_of_today(monkeypatch):
    """Without a JVM no type can be compared with those of an earlier release."""
    monkeypatch.setattr("sparklabel.labeling.state.staging._add_fields", lambda *table: None)


def staging(spark, task=TASK, **options):
    return open_staging(
        spark, TARGET, LabelColumns("verdict", "verdict_label", ()), task, ["fake:m"], "p1", **options
    )


def cache(model="m", engine="fake", min_confidence=0.0, **options):
    spec = labeler_spec(TASK, model, engine, options, min_confidence)
    return open_cache(StorageOptions(), "/data/tickets", spec, prepare(spec).tasks)


def labeling(**options):
    opened = TaskTable(TARGET, TARGET, ("id",), LabelColumns("verdict", "verdict_label", ()))
    return PassRequest(labeler_spec(TASK, "m", "fake", {}, **options), opened)


def test_the_record_has_these_fields_of_these_types_in_this_order():
    assert record.label_ddl("STRING") == RECORD
    assert record.label_ddl("BOOLEAN") == RECORD.replace("value: STRING", "value: BOOLEAN")


def test_statuses_sources_and_states_are_these_words():
    assert (status.OK, status.TRUNCATED, status.EMPTY_INPUT) == ("ok", "truncated", "empty_input")
    assert (status.TOO_LONG, status.INVALID_OUTPUT) == ("too_long", "invalid_output")
    assert (status.ENGINE_ERROR, status.TIMEOUT) == ("engine_error", "timeout")
    assert status.UNCERTAIN == "uncertain"
    assert sl.Label(status="ok").source == "model"
    assert "(lower(trim(label.source)) <=> 'human')" in predicates.human_sql("value", "label")
    assert predicates.STATES == (
        "new", "input_changed", "retry", "task_changed", "model_changed", "human", "human_input_changed", "done",
    )  # fmt: skip


def test_inputs_have_these_hashes():
    assert record.input_hash([b"fresh 1"]) == (
        "4e68f70d902f5c0eb3ee36ad697c3740c0a6e3d0acaa643eba63b51750e53234"
    )
    assert record.input_hash([b"a", None]) == (
        "dbe496367b4bfd6482f0f7b16eb713d6503818d8ae4c740904ee8c55984369d6"
    )
    column = (
        "coalesce(concat(encode(concat('S', octet_length(CAST({0} AS STRING)), ':'), 'utf-8'), "
        "CAST(CAST({0} AS STRING) AS BINARY)), encode('N', 'utf-8'))"
    )
    assert predicates.input_hash_sql(["`a`", "`b`"]) == (
        f"sha2(concat({column.format('`a`')}, {column.format('`b`')}), 256)"
    )


@pytest.mark.parametrize(
    ("name", "fingerprint", "value_type"),
    [
        ("verdict", "v1:9e71afcdada50b333fa91f72", "STRING"),
        ("intent", "v1:bbbb27ccdbd93788bdbdc371", "STRING"),
        ("topics", "v1:915e6211d46e0b8f2137a681", "ARRAY<STRING>"),
        ("same_product", "v1:efa7efffdf993d30baa1edc6", "BOOLEAN"),
        ("urgency", "v1:a63d1d7a610c2f7598b4c9a5", "DOUBLE"),
        (
            "invoice",
            "v1:495a6eb65a950ececd3ecf54",
            "STRUCT<`vendor`: STRING, `total`: DOUBLE, `currency`: STRING, `due`: DATE, `positions`: ARRAY<STRING>>",
        ),
        (
            "mentions",
            "v1:35831521af46b63b94dc1c71",
            "ARRAY<STRUCT<`text`: STRING, `type`: STRING, `start`: INT, `end`: INT>>",
        ),
        ("policy_answer", "v1:80f3e8873e76fbd99e53ef6a", "STRING"),
        ("summary", "v1:73da6d89c2075fc74779cf0a", "STRING"),
    ],
)
def test_a_task_of_each_kind_has_this_fingerprint_and_this_type_of_value(name, fingerprint, value_type):
    task = sl.load_task(TASKS / f"{name}.yaml")
    assert (task.fingerprint, task.value_type) == (fingerprint, value_type)


def test_a_task_with_examples_from_a_table_has_this_fingerprint():
    task = sl.classification(
        "v", "text", ["a", "b"], examples_from=("answers", 4, "similar"), prior="content_free"
    )
    assert task.fingerprint == "v1:c7d8e51ce744dffc914edafb"


def test_a_task_is_written_like_this():
    assert TASK.to_yaml() == (
        "kind: classification\nname: verdict\ninputs:\n- text\ninstructions: Judge.\nlabels:\n- fresh\n- rotten\n"
    )


def test_the_same_inputs_as_ever_are_held_out():
    assert [n for n in range(30) if is_held_out([f"fresh {n}"])] == [5, 20, 25, 26, 27]
    assert is_held_out(["  FRESH\t5"])


def test_a_table_says_in_these_properties_what_is_in_it():
    assert TASK_PROPERTY == "sparklabel.task."
    assert RecordedTask("verdict", ("id",)).to_json() == '{"column": "verdict", "key": ["id"]}'
    calibrated = RecordedTask("verdict", ("id",), (Calibration.of("m", "v1:0", Temperature(1.5), "run"),))
    assert RecordedTask.read(calibrated.to_json()) == calibrated
    assert json.loads(calibrated.to_json())["calibrations"] == [{
        "model": "m", "fingerprint": "v1:0", "run": "run",
        "calibrator": '{"method": "temperature", "temperature": 1.5}',
    }]  # fmt: skip
    assert RecordedTask.read('{"column": "verdict"}') == RecordedTask("verdict"), (
        "as earlier releases wrote it"
    )
    spark = Session()
    make_labels_table(spark, TableSnapshot("labels", "`labels`", "", -1, TARGET.schema, {}), TARGET, ["id"])
    assert spark.said == [
        "CREATE TABLE IF NOT EXISTS `labels` (`id` bigint) USING DELTA TBLPROPERTIES ('sparklabel.labels' = "
        '\'{"of": "tickets", "key": ["id"]}\', \'delta.appendOnly\' = \'false\')'
    ]


def test_answers_are_staged_in_this_folder_and_these_columns():
    spark = Session()
    assert staging(spark).path == "/data/tickets/_sparklabel/verdict_label-7c59a4ff"
    assert spark.said == [
        "CREATE TABLE IF NOT EXISTS delta.`/data/tickets/_sparklabel/verdict_label-7c59a4ff` (input_hash STRING, "
        f"answer {RECORD}, staged_at TIMESTAMP_LTZ, pass_id STRING, decision STRING, chunk INT, lease STRING) "
        f"USING DELTA PARTITIONED BY (pass_id) {GOES_SOON}"
    ]
    assert staging(spark, root="/stage/").path == "/stage/843d6774d8429c01/verdict_label-7c59a4ff"


@pytest.mark.parametrize(
    ("name", "record_format"),
    [
        ("topics", "e42e797e"),
        ("same_product", "ab3b7786"),
        ("urgency", "76a18d7f"),
        ("invoice", "c76c091e"),
        ("mentions", "b0a0ff72"),
    ],
)
def test_each_type_of_value_is_staged_in_a_folder_of_its_own(name, record_format):
    task = sl.load_task(TASKS / f"{name}.yaml")
    assert staging(Session(), task).path == f"/data/tickets/_sparklabel/verdict_label-{record_format}"


def test_the_cache_is_in_this_folder_and_a_question_has_this_key():
    assert (cache().path, cache().record) == ("/data/tickets/_sparklabel/cache", RECORD)
    assert (cache().task, cache().model) == ("verdict", "fake:m")
    assert cache().question == "730a4a3a144e3acbfbdb396f948f6343"
    assert cache(min_confidence=0.5).question == "29660653487ee752a1d2d22c4ab916ce"
    served = cache(engine="openai", base_url="http://127.0.0.1:8000/v1")
    assert (served.model, served.question) == (
        "openai:m@127.0.0.1:8000",
        "5d7b2edc2006c6b94a4265f9f2dc247a",
    )


def test_what_else_decides_on_an_answer_has_this_hash():
    assert labeling().spec.decision == ""
    assert labeling(min_confidence=0.5).spec.decision == "4450fdc1ff188996"


def test_commits_say_this_of_the_pass_that_made_them():
    steps = ("columns", "corrections", "answers", "undo", "restored")
    assert steps == (COLUMNS, CORRECTIONS, ANSWERS, UNDO, RESTORED)
    spark, run = Session(), labeling(min_confidence=0.25)
    with commit_metadata(spark, **run.facts(ANSWERS)):
        (said,) = spark.settings.values()
        assert list(spark.settings) == ["spark.databricks.delta.commitInfo.userMetadata"]
    assert json.loads(said) == {
        "sparklabel": {
            "pass_id": run.pass_id, "step": "answers", "began": run.began_at.isoformat(), "task": "verdict",
            "model": "fake:m", "task_fingerprint": "v1:7117ef58eac2038c825ec046", "min_confidence": 0.25,
            "column": "verdict", "key": ["id"], "version_before": 7, "where": None, "relabel": "task",
        }
    }  # fmt: skip


def test_a_lease_is_written_and_read_like_this():
    assert list(asdict(Holder.this("p1", Shard(3, 8)))) == [
        "pass_id",
        "who",
        "host",
        "pid",
        "started",
        "shard",
    ]
    sign = '{"pass_id": "p1", "who": "kim@one", "host": "one/x", "pid": 7, "started": "9", "shard": [3, 8], "new": 1}'
    assert Holder.read(sign) == Holder("p1", "kim@one", "one/x", 7, "9", Shard(3, 8))


def test_a_card_is_written_and_read_like_this():
    card = {
        "format": 1,
        "task": {"kind": "classification", "name": "verdict", "inputs": ["text"], "labels": ["fresh", "rotten"]},
        "task_fingerprint": "v1:0",
        "template": {
            "pieces": [{"kind": kind, "text": "x"} for kind in ("special", "plain", "input", "choices", "examples")],
            "answer_lead": " ",
        },
        "labels": ["fresh", "rotten"],
        "label_ids": [[1, 2], [3]],
        "base": {
            "reference": "b", "source": "folder", "identity": "folder@sha256:0", "location": "/b", "revision": "",
            "sha256": "0",
        },
    }  # fmt: skip
    assert ModelManifest.from_json(json.dumps(card)).to_dict() == card


@pytest.mark.parametrize(
    ("calibrator", "stored"),
    [
        (Temperature(1.5), {"method": "temperature", "temperature": 1.5}),
        (Platt(0.5, -1.0), {"method": "platt", "slope": 0.5, "intercept": -1.0}),
        (
            Isotonic((0.2, 0.6), (0.3, 0.9)),
            {"method": "isotonic", "raw": [0.2, 0.6], "confidences": [0.3, 0.9]},
        ),
    ],
)
def test_a_calibrator_is_written_and_read_like_this(calibrator, stored):
    assert calibrator.to_dict() == stored
    assert calibrator_from_json(json.dumps(stored)) == calibrator


def test_a_model_without_files_and_one_in_a_folder_have_these_identities(tmp_path):
    assert labeling().model == "fake:m"
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    assert registry.resolve(str(tmp_path)).identity == "folder@sha256:60173fcc599bfcac"


def test_a_version_is_in_mlflow_under_these_names(base, tmp_path, adapter_folder, log):
    version = log(adapter_folder(tmp_path / "tuned", base, 11.0), "named", {"task_fingerprint": "v1:0"})
    assert registry.promote("named", version, replacing=None)
    found = mlflow.MlflowClient().get_model_version_by_alias("named", "champion")
    sha256, card = found.tags.pop("sparklabel.sha256"), found.tags.pop("sparklabel.card_sha256")
    assert card == file_sha256(Path(found.source) / "sparklabel.json")
    assert (len(sha256), found.tags) == (64, {"task_fingerprint": "v1:0"})
    assert found.source.endswith(f"/artifacts/model-{sha256[:16]}")
    files = {path.relative_to(found.source).as_posix() for path in Path(found.source).rglob("*.*")}
    assert files >= {"sparklabel.json", "adapter/adapter_config.json", "adapter/adapter_model.safetensors"}
    model = registry.resolve("models:/named@champion").identity
    assert model == f"models:/named/{version}@sha256:{sha256[:16]}"


def test_a_calibrator_is_in_mlflow_under_these_names(store, log, adapter_folder, base):
    version = log(adapter_folder(store / "calibrated", base), "it's")
    with registry.start_run("calibrate verdict", experiment="tests") as run:
        registry.log_calibrator(run, f"models:/it's/{version}@sha256:0", "v1:0", Temperature(1.5))
    tags = mlflow.get_run(run.id).data.tags
    content = '"method": "temperature", "temperature": 1.5'
    assert tags["sparklabel.calibrates"] == f"models:/it%27s/{version}@sha256:0 v1:0"
    assert tags["sparklabel.calibrator"] == f"{{{content}}}"
    version_tags = mlflow.MlflowClient().get_model_version("it's", version).tags
    assert version_tags["sparklabel.calibrator.v1:0"] == f'{{{content}, "run": "{run.id}"}}'


def test_a_model_has_this_name_unless_another_is_given():
    assert registry.default_registered_name("verdict", "file:/data/tickets") == "verdict-tickets-91306eeeb4"


def test_a_pass_is_a_run_with_these_names():
    with track_pass(labeling()) as tracker:
        stats = SimpleNamespace(chunks=1, inputs=3, failed=1, prompt_tokens=9, output_tokens=0, rate=2.0)
        tracker.chunk(stats, 5)
        report = sl.PassReport(
            table="t", task="v", model="m", task_fingerprint="f", pass_id="p1", dry_run=False, version_before=0,
            version_after=1, states={}, pending=1, distinct_inputs=1, by_status={"ok": 1}, cost=0.5,
        )  # fmt: skip
        tracker.end(report.figures())
    run = mlflow.get_run(tracker.run_id)
    assert (run.info.run_name, run.data.tags["sparklabel.pass"]) == (
        "label verdict",
        run.data.params["pass_id"],
    )
    assert set(run.data.params) >= {"table", "task", "pass_id", "model", "engine", "task_fingerprint"}
    assert set(run.data.metrics) == {
        "inputs", "of", "failed", "prompt_tokens", "output_tokens", "inputs_per_second", "conflicts", "seconds",
        "labeled", "pending", "human_kept", "resumed_inputs", "cached_inputs", "corrections_stamped",
        "conflicts_retried", "status.ok", "cost",
    }  # fmt: skip


def test_an_answers_table_has_these_columns():
    assert columns([KeyColumn("id", "id", "BIGINT")], "DOUBLE") == {
        "event_id": "STRING", "journal": "STRING", "seq": "BIGINT", "id": "BIGINT", "input_hash": "STRING",
        "kind": "STRING", "value": "DOUBLE", "reviewer": "STRING", "reason": "STRING",
        "shown": "STRUCT<value: DOUBLE, confidence: DOUBLE, `by`: STRING>",
        "before": "STRUCT<value: DOUBLE, reviewer: STRING, reviewed_at: TIMESTAMP_LTZ>", "seconds": "DOUBLE",
        "note": "STRING", "task_fingerprint": "STRING", "model": "STRING", "answered_at": "TIMESTAMP_LTZ",
    }  # fmt: skip


def test_a_journal_keeps_an_event_as_this(tmp_path):
    with Journal(tmp_path / "review.db", {"table": "t"}) as journal:
        journal.append(
            [Event(event_id="e", task="v", key="{}", input_hash="h", kind="answer", value=1, reviewer="ann")]
        )
    with sqlite3.connect(tmp_path / "review.db") as kept:
        found = kept.execute("SELECT seq, event_id, task, content FROM events").fetchall()
    kept.close()
    content = {
        "event_id": "e", "task": "v", "key": "{}", "input_hash": "h", "kind": "answer", "value": 1, "reviewer": "ann",
        "reason": "queue", "shown": {"value": None, "confidence": None, "by": "none"},
        "before": {"value": None, "reviewer": None, "reviewed_at": None}, "seconds": None, "note": None,
        "task_fingerprint": "", "model": None, "answered_at": "", "seq": 0,
    }  # fmt: skip
    assert [(*row[:3], json.loads(row[3])) for row in found] == [(1, "e", "v", content)]
