"""Tables, staging, cache, checkpoints and MLflow's files on Amazon S3: a real S3 API, on loopback."""

from types import SimpleNamespace

import mlflow
import pytest

import sparklabel as sl
from sparklabel.delta.snapshot import open_snapshot
from sparklabel.errors import SetupError, TableError
from sparklabel.language_model import TrainingConfig

TASK = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge.")
RECIPE = TrainingConfig(top_layers=1, epochs=1, batch_size=16)
LOST = "can be lost: on S3, Delta by default allows only one driver"


@pytest.fixture(scope="module", autouse=True)
def own_cache(s3_jars, cache):
    """Every test here writes into it. The jars are looked for in the user's."""


@pytest.fixture(scope="module")
def label(spark):
    def run(table, **options):
        defaults = {
            "key": "id",
            "model": "m",
            "engine": "fake",
            "progress": False,
            "allow_unsafe_store": True,
        }
        return sl.label_table(spark, table, TASK, **defaults | options)

    return run


def make_table(spark, table, rows=6):
    made = f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT id, concat('fresh ', id) AS text"
    spark.sql(f"{made} FROM range({rows})")
    return table


def verdicts(spark, table):
    found = spark.sql(f"SELECT id, verdict, verdict_label.model FROM delta.`{table}` ORDER BY id").collect()
    return [(row.verdict, row.model) for row in found]


@pytest.fixture(scope="module")
def story(spark, bucket, label):
    """A pass, a person's answer, a pass with another model that is staged and cached in folders of their own, undone;
    the cache cleared."""
    table, seen = make_table(spark, f"{bucket}/story"), SimpleNamespace()
    label(table)
    seen.first = verdicts(spark, table)
    spark.sql(f"UPDATE delta.`{table}` SET verdict = 'rotten' WHERE id = 1")
    folders = {"staging": f"{bucket}/staging", "cache": f"{bucket}/cache"}
    second = label(table, model="m2", relabel="model", **folders)
    seen.second = verdicts(spark, table)
    seen.undone = sl.undo_pass(spark, table, second.pass_id, allow_unsafe_store=True)
    seen.after = verdicts(spark, table)
    seen.cleared = sl.clear_cache(spark, folders["cache"], allow_unsafe_store=True)
    seen.listed = sl.passes(spark, table).count()
    return seen


def test_a_pass_labels_a_table_there(story):
    assert story.first == [("fresh", "fake:m")] * 6


def test_a_persons_answer_survives_a_pass_that_stages_and_caches_there(story):
    assert [verdict for verdict, _ in story.second] == ["fresh", "rotten", *["fresh"] * 4]
    assert [model for _, model in story.second] == ["fake:m2", "fake:m", *["fake:m2"] * 4]


def test_a_pass_there_is_undone(story):
    assert (story.undone.put_back, story.listed) == (5, 3)
    assert [model for _, model in story.after] == ["fake:m"] * 6


def test_a_cache_there_is_cleared(story):
    assert story.cleared == 5


@pytest.fixture(scope="module")
def plain(spark, bucket):
    """A table that no test writes."""
    return make_table(spark, f"{bucket}/plain")


@pytest.mark.parametrize("dry_run", [False, True])
def test_without_permission_nothing_is_written(spark, plain, label, dry_run):
    with pytest.raises(TableError, match=LOST):
        label(plain, dry_run=dry_run, allow_unsafe_store=False)
    assert open_snapshot(spark, plain).version == 0


@pytest.mark.parametrize("argument", ["staging", "cache", "into"])
def test_one_folder_there_is_enough_to_be_refused(spark, bucket, label, tmp_path, argument):
    table = make_table(spark, str(tmp_path / "table"))
    with pytest.raises(TableError, match=f"^Commits to {bucket}/other {LOST}"):
        label(table, allow_unsafe_store=False, **{argument: f"{bucket}/other"})
    assert open_snapshot(spark, table).version == 0


def test_so_is_a_schema_in_which_a_table_for_the_labels_would_be_made(spark, bucket, plain, label):
    spark.sql(f"CREATE SCHEMA there LOCATION '{bucket}/schema'")
    with pytest.raises(TableError, match=f"^Commits to {bucket}/schema {LOST}"):
        label(plain, into="there.labels", allow_unsafe_store=False)
    spark.sql("DROP SCHEMA there")


def test_undo_calibration_a_stream_and_a_clearing_are_refused_alike(spark, bucket, story, tmp_path):
    table = f"{bucket}/story"
    for refused in (
        lambda: sl.undo_pass(spark, table, "any"),
        lambda: sl.calibrate(spark, table, TASK),
        lambda: sl.label_stream(spark, table, TASK, checkpoint=str(tmp_path / "checkpoint"), engine="fake"),
        lambda: sl.clear_cache(spark, f"{bucket}/cache"),
    ):
        with pytest.raises(TableError, match=LOST):
            refused()


def test_a_stream_keeps_its_position_there(spark, bucket, plain):
    options = {"key": "id", "model": "m", "engine": "fake", "into": f"{bucket}/streamed"}
    options |= {"checkpoint": f"{bucket}/checkpoint", "allow_unsafe_store": True}
    for _ in range(2):
        sl.label_stream(spark, plain, TASK, **options).awaitTermination()
    assert verdicts(spark, options["into"]) == [("fresh", "fake:m")] * 6
    assert sl.passes(spark, options["into"]).count() == 1


def test_a_folder_inside_a_table_there_is_refused_for_staging(plain, label):
    with pytest.raises(TableError, match=f"lies in the folder of a Delta table \\({plain}\\)"):
        label(plain, staging=f"{plain}/staging")


def test_what_is_not_there_is_named(bucket, label):
    with pytest.raises(TableError, match=f"{bucket}/nothing is not a Delta table"):
        label(f"{bucket}/nothing")
    with pytest.raises(
        TableError, match=r"s3a://no-such-bucket/table cannot be read: .*NoSuchBucket"
    ) as caught:
        label("s3a://no-such-bucket/table")
    assert "credentials" in caught.value.hint


def test_a_cache_in_a_bucket_that_does_not_exist_is_named(spark):
    with pytest.raises(TableError, match="s3a://no-such-bucket/cache cannot be read"):
        sl.cache_summary(spark, "s3a://no-such-bucket")


@pytest.fixture(scope="module")
def taught(spark, bucket, mlflow_on_s3, tiny_model):
    """A table with human answers, a tiny model fine-tuned on them, MLflow's files in a bucket: the report."""
    table = make_table(spark, f"{bucket}/taught", 60)
    spark.sql(f"ALTER TABLE delta.`{table}` ADD COLUMN verdict STRING")
    spark.sql(f"UPDATE delta.`{table}` SET verdict = if(id % 2 = 0, 'fresh', 'rotten')")
    first = {"key": "id", "engine": "fake", "progress": False, "adopt": True, "allow_unsafe_store": True}
    sl.label_table(spark, table, TASK, **first)
    mlflow.MlflowClient().create_experiment("kept", artifact_location=f"{mlflow_on_s3}/kept")
    options = {"registered_name": "verdict", "config": RECIPE, "experiment": "kept", "progress": False}
    sl.finetune(spark, table, TASK, key="id", base=str(tiny_model), **options)
    return table


def test_a_model_whose_files_mlflow_keeps_there_labels_a_table_there(spark, taught, buckets):
    assert list((buckets / "models" / "kept").rglob("adapter_model.safetensors"))
    spark.sql(f"INSERT INTO delta.`{taught}` (id, text) VALUES (60, 'fresh 60')")
    report = sl.label_table(
        spark, taught, TASK, key="id", model="models:/verdict/1", progress=False, allow_unsafe_store=True
    )
    assert report.labeled == 1
    assert verdicts(spark, taught)[60][1].startswith("models:/verdict/1@sha256:")


def test_files_that_mlflow_cannot_keep_are_found_out_before_the_training(spark, taught, tiny_model):
    mlflow.MlflowClient().create_experiment("lost", artifact_location="s3://no-such-bucket/lost")
    with pytest.raises(
        SetupError, match=r"cannot keep files at s3://no-such-bucket/lost/.*bucket does not exist"
    ):
        sl.finetune(spark, taught, TASK, base=str(tiny_model), experiment="lost", progress=False)
