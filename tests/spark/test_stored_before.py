"""Tables, models and tasks of before 0.1 go on: what an earlier release stored is read, continued and taken back.

They are in tests/fixtures/before_0_1, and make.py there says how they were made. Nothing here imports more than the
public API: modules move, and what is stored stays.
"""

import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

import sparklabel as sl

BEFORE = Path(__file__).parents[1] / "fixtures" / "before_0_1"
VERDICT = sl.load_task(BEFORE / "verdict.yaml")
TONE = sl.load_task(BEFORE / "tone.yaml")
STAGING = "_sparklabel/verdict_label-7c59a4ff"
CHAMPION = {"model": "models:/tone@champion", "dtype": "float32"}
FINE_TUNING, PASS = "bcd40a4e5459443fb5ab6939967497a5", "a435c911ab91453b8a62f0219967c1a1"
"""Runs of before, in the store."""
PYFUNC = {
    "MLmodel",
    "input_example.json",
    "python_env.yaml",
    "requirements.txt",
    "serving_input_example.json",
}
"""What MLflow loads a version by, since 0.1."""


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The folder with all that was stored, as if it had been written just now: Delta drops old log files."""
    folder = tmp_path_factory.mktemp("before")
    for packed in BEFORE.glob("*.tar.gz"):
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter=lambda *file: tarfile.data_filter(*file).replace(mtime=None))
    return folder


@pytest.fixture
def stored(before, tmp_path):
    """Copies a table with all that stands beside it; its folder."""
    return lambda name: str(shutil.copytree(before / "tables" / name, tmp_path / name))


@pytest.fixture
def with_cache(spark, stored):
    """The same, with a cache that is as if it had been written yesterday: after 180 days no pass would use it."""

    def copy(name):
        table = stored(name)
        spark.sql(f"UPDATE delta.`{table}/_sparklabel/cache` SET day = date_sub(current_date(), 1)")
        return table

    return copy


@pytest.fixture(scope="module")
def store(before):
    """The MLflow store, whose files are where they are now."""
    folder = before / "store"
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.executescript((folder / "store.sql").read_text().replace("@STORE@", str(folder)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        yield folder


@pytest.fixture(scope="module")
def rows_in(spark):
    """The rows of the table in a folder, by id."""
    return lambda table: {row.id: row for row in spark.sql(f"SELECT * FROM delta.`{table}`").collect()}


def test_only_the_new_correction_is_stamped(stored, label, rows_in):
    table = stored("reviews")
    then = rows_in(table)
    report = label(table, VERDICT)
    assert (report.labeled, report.corrections_stamped, report.states) == (0, 1, {"human": 3, "done": 10})
    now = rows_in(table)
    stamped = now.pop(2)
    assert now == {i: row for i, row in then.items() if i != 2}
    assert (stamped.verdict, stamped.verdict_label.value, stamped.verdict_label.source) == (
        "rotten", "fresh", "human",
    )  # fmt: skip
    assert stamped.verdict_label.reviewed_at


def test_human_answers_are_kept_when_another_model_answers_the_rest(stored, label, rows_in):
    table = stored("reviews")
    then = rows_in(table)
    report = label(table, VERDICT, model="another", relabel="model")
    assert (report.labeled, report.human_kept, report.cached_inputs) == (9, 3, 0)
    now = rows_in(table)
    assert [now[i].verdict for i in (1, 2, 3)] == ["rotten", "rotten", "rotten"]
    assert now[1] == then[1], "stamped by a pass of before"
    assert now[3] == then[3], "confirmed"
    assert {row.verdict_label.model for i, row in now.items() if i not in (1, 2, 3, 10)} == {"fake:another"}


def test_a_text_that_was_answered_before_is_answered_from_the_cache(spark, with_cache, label, rows_in):
    table = with_cache("reviews")
    spark.sql(f"UPDATE delta.`{table}` SET text = 'rotten 6' WHERE id = 5")
    spark.sql(f"UPDATE delta.`{table}` SET text = 'rotten 99' WHERE id = 7")
    report = label(table, VERDICT, cache=f"{table}/_sparklabel")  # named: a small pass would not ask it
    assert (report.labeled, report.cached_inputs) == (2, 1)
    now = rows_in(table)
    assert [now[i].verdict for i in (5, 7)] == ["rotten", "rotten"]
    assert (
        now[5].verdict_label.labeled_at == now[6].verdict_label.labeled_at < now[7].verdict_label.labeled_at
    )


def test_a_row_that_failed_is_listed(spark, stored):
    (row,) = sl.failures(spark, stored("reviews"), VERDICT, key="id").collect()
    assert (row.id, row.status, row.error, row.model) == (
        10, "empty_input", "every input is NULL or blank", "fake:m",
    )  # fmt: skip


def test_passes_are_listed(spark, stored):
    newest, first = sl.passes(spark, stored("reviews")).collect()
    assert {row.task for row in (newest, first)} == {"verdict"}
    assert {row.model for row in (newest, first)} == {"fake:m"}
    assert {row.task_fingerprint for row in (newest, first)} == {VERDICT.fingerprint}
    assert [(row.rows, row.version_before, row.version_after) for row in (newest, first)] == [
        (1, 5, 7), (12, 0, 3),
    ]  # fmt: skip
    assert first.began < newest.began


def test_passes_that_share_a_commit_say_so_as_before(spark, small, label):
    label(small, [VERDICT, TONE])
    newest = spark.sql(f"DESCRIBE HISTORY {small} LIMIT 1").first()
    said = json.loads(newest.userMetadata)["sparklabel"]
    assert {facts["task"] for facts in said.pop("passes")} == {"verdict", "tone"}
    assert said == {}
    assert {(row.task, row.rows) for row in sl.passes(spark, small).collect()} == {
        ("verdict", None),
        ("tone", None),
    }


def test_a_pass_is_taken_back_and_its_answers_are_in_the_cache(spark, with_cache, label, rows_in):
    table = with_cache("reviews")
    then = rows_in(table)
    report = sl.undo_pass(spark, table, sl.passes(spark, table).collect()[1].pass_id)
    assert (report.put_back, report.human_kept) == (9, 3)
    now = rows_in(table)
    assert {i for i, row in now.items() if row.verdict_label is None} == {0, *range(4, 12)}
    again = label(table, VERDICT, cache=f"{table}/_sparklabel")
    assert (again.labeled, again.cached_inputs) == (9, 8), "that a row is blank is not kept"
    assert {i: row.verdict for i, row in rows_in(table).items()} == {
        i: row.verdict for i, row in then.items()
    }


def test_the_staged_answers_of_a_killed_pass_are_not_computed_again(spark, stored, label, rows_in):
    table = stored("killed")
    staged = spark.sql(f"SELECT answer.* FROM delta.`{table}/{STAGING}` WHERE answer IS NOT NULL").collect()
    report = label(table, VERDICT)
    assert (report.labeled, report.resumed_inputs) == (300, len(staged))
    assert 64 < len(staged) < 300
    now = rows_in(table)
    assert {row.verdict for i, row in now.items() if i % 3 == 0} == {"rotten"}
    assert {row.verdict for i, row in now.items() if i % 3} == {"fresh"}
    times = {answer.input_hash: answer.labeled_at for answer in staged}
    records = [row.verdict_label for row in now.values() if row.verdict_label.input_hash in times]
    assert {record.input_hash: record.labeled_at for record in records} == times
    for left in (STAGING, f"{STAGING}-todo"):
        assert spark.sql(f"SELECT * FROM delta.`{table}/{left}`").count() == 0, left


def test_labels_in_a_table_of_their_own_go_on(spark, stored, label, rows_in):
    tickets, labels = stored("tickets"), stored("ticket_labels")
    spark.sql(f"UPDATE delta.`{labels}` SET verdict = 'rotten' WHERE id = 0")
    spark.sql(f"UPDATE delta.`{tickets}` SET text = 'rotten now' WHERE id = 1")
    spark.sql(f"INSERT INTO delta.`{tickets}` VALUES (8, 'fresh 8')")
    report = label(tickets, VERDICT, into=labels)
    assert (report.labeled, report.corrections_stamped) == (3, 1)
    now = rows_in(labels)
    assert {i: row.verdict for i, row in now.items()} == {
        i: "rotten" if i in (0, 1) else "fresh" for i in range(9) if i != 5
    } | {5: now[5].verdict}
    assert (now[5].verdict_label.status, now[5].verdict_label.attempts) == ("ok", 2), "the engine had failed"


def test_a_table_of_today_is_stored_as_one_of_before(spark, stored, label, rows_in, tmp_path):
    before, today = stored("reviews"), str(tmp_path / "today")
    spark.sql(
        f"CREATE TABLE delta.`{today}` USING DELTA AS SELECT id, text FROM delta.`{before}` WHERE id < 12"
    )
    label(today, VERDICT, cache=f"{today}/_sparklabel")  # named: a small pass would neither stage nor cache
    spark.sql(f"UPDATE delta.`{today}` SET verdict = 'rotten' WHERE id = 1")
    spark.sql(f"INSERT INTO delta.`{today}` (id, text) VALUES (12, 'fresh 12')")
    label(today, VERDICT, cache=f"{today}/_sparklabel")
    spark.sql(f"UPDATE delta.`{today}` SET verdict = 'rotten' WHERE id = 2")
    spark.sql(
        f"UPDATE delta.`{today}` SET verdict_label.source = 'human', verdict_label.reviewer = 'kim' WHERE id = 3"
    )
    new, old = layout(spark, today), layout(spark, before)
    assert json.loads(new[""][2].pop("sparklabel.task.verdict")) == {
        "column": "verdict", "key": ["id"], "inputs": ["text"],
    }  # fmt: skip
    assert json.loads(old[""][2].pop("sparklabel.task.verdict")) == {"column": "verdict"}, "keys came later"
    for folder in new:  # our own tables have more properties by now
        if folder:
            assert new[folder][2].items() >= old[folder][2].items()
            new[folder][2].clear()
            old[folder][2].clear()
    # How many pending rows a pass answered came later, too.
    assert [facts.pop("pending_answered", None) for facts in new["commits"]].count(None) < len(new["commits"])
    # So did each field's own probability.
    commits = new.pop("commits")
    new = {
        folder: (said[0].replace(",raw_confidence:double>>", ">>"), *said[1:]) for folder, said in new.items()
    }
    new["commits"] = commits
    assert new == old
    now, then = ({i: timeless(row) for i, row in rows_in(table).items()} for table in (today, before))
    assert now == then


def layout(spark, table):
    """What stands in and beside a table, by its folder: columns, partitions, properties; and what its commits say."""
    found = {}
    for folder in ("", *sorted(f"/_sparklabel/{path.name}" for path in Path(table, "_sparklabel").iterdir())):
        detail = spark.sql(f"DESCRIBE DETAIL delta.`{table}{folder}`").first()
        columns = spark.sql(f"SELECT * FROM delta.`{table}{folder}`").schema.simpleString()
        found[folder] = (columns, detail.partitionColumns, detail.properties)
    history = spark.sql(f"DESCRIBE HISTORY delta.`{table}`").orderBy("version").collect()
    said = [json.loads(row.userMetadata)["sparklabel"] for row in history if row.userMetadata]
    differs = ("pass_id", "began", "inputs_per_second")
    return found | {"commits": [facts | {name: ... for name in differs if name in facts} for facts in said]}


def timeless(row):
    """A row without what differs from pass to pass, and without the last digits, which differ from processor to
    processor."""
    record = row.verdict_label.asDict(recursive=True)
    differs = ("pass_id", "labeled_at", "reviewed_at")
    return rounded(
        row.asDict() | {"verdict_label": record | {name: record[name] is None for name in differs}}
    )


def rounded(value):
    if isinstance(value, float):
        return round(value, 12)
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


@pytest.mark.model
def test_a_registered_model_gives_the_answers_that_it_gave(spark, stored, store, rows_in):
    then = rows_in(stored("tuned"))
    rows = spark.createDataFrame([(row.id, row.text) for row in then.values()], "id BIGINT, text STRING")
    answers = rows.select("id", sl.label_udf(TONE, **CHAMPION)("text").alias("label")).collect()
    for i, now in answers:
        old = then[i].tone_label
        assert (now.value, now.status, now.model) == (old.value, old.status, old.model)
        assert (now.task_fingerprint, now.input_hash) == (old.task_fingerprint, old.input_hash)
        assert now.prompt_tokens == old.prompt_tokens
        assert now.raw_confidence == pytest.approx(old.raw_confidence, abs=1e-4)
        assert now.confidence == pytest.approx(old.confidence, abs=1e-4), "calibrated as then"


@pytest.mark.model
def test_a_pass_with_a_registered_model_goes_on_and_finds_its_cache(spark, with_cache, store, rows_in):
    table = with_cache("tuned")
    then = rows_in(table)
    options = CHAMPION | {"key": "id", "progress": False}
    assert sl.label_table(spark, table, TONE, relabel="model", **options).pending == 0
    spark.sql(f"UPDATE delta.`{table}` SET tone = NULL, tone_label = NULL WHERE id = 0")
    spark.sql(f"INSERT INTO delta.`{table}` (id, text) VALUES (9, 'oooo 9'), (10, ' ')")
    report = sl.label_table(spark, table, TONE, cache=f"{table}/_sparklabel", **options)
    assert (report.labeled, report.cached_inputs) == (3, 1)
    now = rows_in(table)
    assert now[0].tone == then[0].tone
    assert now[0].tone_label.confidence == then[0].tone_label.confidence
    assert (now[9].tone_label.status, now[9].tone_label.model) == ("ok", then[0].tone_label.model)
    assert now[9].tone_label.confidence != now[9].tone_label.raw_confidence
    today, before = names(report.run_id), names(PASS)
    assert today.pop("params") - before.pop("params") == {"calibrator_run"}
    assert today.pop("tags") - before.pop("tags") == {"sparklabel.process"}
    assert today == before


def test_a_fine_tuning_of_today_is_stored_as_one_of_before(spark, stored, store, tiny_model):
    from mlflow import MlflowClient

    table = stored("reviews")
    spark.sql(f"UPDATE delta.`{table}` SET verdict_label.source = 'human'")
    report = sl.finetune(
        spark, table, VERDICT, key="id", base=str(tiny_model), registered_name="verdict", progress=False
    )
    kept = names(FINE_TUNING)
    kept["tags"] -= {"sparklabel.calibrates", "sparklabel.calibrator"}  # too few answers for one
    kept["params"] |= {"processes", "method"}  # how it was trained, since it can be in several processes
    kept["params"] |= {
        f"recipe.{name}" for name in ("parameters", "shard", "microbatch_tokens", "activation_checkpointing")
    }  # the settings of an instruction tuning, which shares the record
    kept["metrics"] |= {"attempts", "gate.n"}  # an attempt after the promotion reads the gate's result there
    assert names(report.run_id) == kept
    today, then = (MlflowClient().get_model_version(name, "1") for name in ("verdict", "tone"))
    assert today.tags.keys() - then.tags.keys() == {"sparklabel.card_sha256"}
    assert then.tags.keys() <= today.tags.keys()
    assert set(files(today.source)) - set(files(then.source)) == PYFUNC
    assert set(files(then.source)) <= set(files(today.source))
    assert keys(Path(today.source, "sparklabel.json")) == keys(Path(then.source, "sparklabel.json"))


def names(run_id):
    """What an MLflow run is called and has, by name."""
    from mlflow import MlflowClient

    client = MlflowClient()
    run = client.get_run(run_id)
    return {
        "experiment": client.get_experiment(run.info.experiment_id).name,
        "name": run.info.run_name.partition(" ")[0],
        "params": set(run.data.params),
        "metrics": set(run.data.metrics),
        "tags": {name for name in run.data.tags if not name.startswith("mlflow.")},
        "read": [read.dataset.source_type for read in run.inputs.dataset_inputs],
    }


def files(folder):
    """The names of a folder's files."""
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def keys(card):
    """The names of a card's fields."""
    fields = json.loads(card.read_text())
    template = fields["template"]
    return fields["format"], *map(
        sorted, (fields, fields["task"], fields["base"], template, template["pieces"][0])
    )
