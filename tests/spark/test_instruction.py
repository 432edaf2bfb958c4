"""One model from the answers of several tables: what is packed, trained, judged, registered and served."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import sparklabel as sl
from sparklabel import registry
from sparklabel.cache_dir import cache_folder
from sparklabel.errors import AnswersError, ColumnError, ModelError, SetupError, TableError, TaskError
from sparklabel.splits import is_held_out
from sparklabel.training.instruction.preparation import prepared
from sparklabel.training.instruction.prepare import prepare
from sparklabel.training.instruction.rendering import LEARNED
from sparklabel.training.instruction.sources import pin, read_sources

VERDICT = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge.")
TOPIC = sl.classification("topic", "text", ["egg", "fish"], "What is it?")
SIZE = 256
CONFIG = sl.TrainingConfig(rank=2, batch_size=4, learning_rate=1e-2, max_tokens=SIZE)


@pytest.fixture(scope="module")
def tables(spark, tmp_path_factory):
    """`reviews` and `others` with a column of right answers."""
    folder = tmp_path_factory.mktemp("tables")
    for name, offset in (("reviews", 0), ("others", 1000)):
        spark.sql(
            f"CREATE TABLE delta.`{folder}/{name}` USING DELTA AS SELECT id, concat(if(id % 3 = 0, 'good ', 'bad '), "
            f"id + {offset}) AS text, if(id % 3 = 0, 'fresh', 'rotten') AS gold, "
            "if(id % 2 = 0, 'egg', 'fish') AS topic FROM range(300)"
        )
    return folder


@pytest.fixture(scope="module")
def mixture(tables):
    return sl.mixture(
        [
            sl.source(f"{tables}/reviews", VERDICT, key="id", answers="gold"),
            sl.source(f"{tables}/others", TOPIC, key="id", answers="topic", held_out=True),
        ]
    )


@pytest.fixture(scope="module")
def base(tiny_model):
    return registry.resolve(str(tiny_model))


@pytest.fixture
def pack(spark, base, tmp_path):
    """`pack(mixture, partitions)`: what is packed of tables that Spark reads in so many parts."""

    def run(mixture, partitions=None, name="packs"):
        pinned = [pin(spark, one) for one in mixture.sources]
        rows = read_sources(spark, mixture, pinned)
        if partitions:
            pinned = [replace(one, rows=one.rows.repartition(partitions)) for one in pinned]
        return prepare(spark, mixture, pinned, rows, base, SIZE, tmp_path / name)

    return run


@pytest.fixture(scope="module")
def tuned(spark, mixture, base, cache, mlflow_store):
    """All weights of the tiny model, tuned twice, the second time with what the first one packed; and the folders of
    packs that this made."""
    before = {folder.name for folder in (cache / "trainings").glob("packs-*")}
    config = replace(CONFIG, parameters="all", rank=sl.TrainingConfig().rank)
    options = {"base": base.reference, "config": config, "progress": False}
    reports = [
        sl.instruction_tune(spark, mixture, registered_name=name, judge_rows=40, **options)
        for name in ("labeler", "again")
    ]
    return *reports, {folder.name for folder in (cache / "trainings").glob("packs-*")} - before


def test_packs_are_equal_however_tables_are_divided(mixture, pack):
    found = [pack(mixture, partitions, f"of {partitions}").folder.manifest for partitions in (1, 2, 8)]
    assert found[0] == found[1] == found[2]
    assert len(found[0].files) == 1


def test_nothing_that_judges_is_packed(spark, mixture, pack, tables, tiny_model):
    from sparklabel.language_model import ModelTokenizer

    tokenizer, packed = ModelTokenizer.load(tiny_model), pack(mixture)
    texts = "".join(tokenizer.decode(one.tokens.tolist()) for n in range(1) for one in packed.folder.read(n))
    rows = [row.text for row in spark.sql(f"SELECT text FROM delta.`{tables}/reviews`").collect()]
    held_out = [text for text in rows if is_held_out([text])]
    assert 40 < len(held_out) < 80
    assert not [text for text in held_out if f" {text}\n" in texts]
    assert f" {next(text for text in rows if not is_held_out([text]))}\n" in texts
    assert packed.folder.manifest.sources == (300 - len(held_out),)


def test_a_folder_that_was_not_finished_is_packed_again(mixture, pack):
    packed = pack(mixture)
    (packed.folder.path / "manifest.json").unlink()
    assert prepared(packed.folder.path) is None
    assert prepared(pack(mixture).folder.path) == packed


def test_a_row_that_is_longer_than_a_pack_is_cut_and_its_answer_is_not(spark, tables, pack):
    table = f"{tables}/long"
    spark.sql(
        f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT id, concat(id, repeat(' word', 100)) AS text, 'fresh' "
        "AS gold FROM range(40)"
    )
    packed = pack(sl.mixture([sl.source(table, VERDICT, key="id", answers="gold")], few_shot=(0, 0)))
    ends = [one.tokens[one.answers[0] : one.ends[0]].tolist() for one in packed.folder.read(0)]
    (source,) = packed.sources
    assert source.truncated == source.pieces == len(ends)
    assert len({tuple(end) for end in ends}) == 1


def test_people_s_answers_teach_and_those_that_a_queue_chose_do_not_judge(spark, table, label):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(60)")
    label(table, VERDICT)
    spark.sql(f"UPDATE {table} SET verdict_label.source = 'human' WHERE id < 50")
    spark.sql(f"UPDATE {table} SET verdict_label.review_reason = 'queue' WHERE id % 2 = 0")
    spark.sql(f"UPDATE {table} SET text = 'changed' WHERE id = 49")
    mixture = sl.mixture([sl.source(table, VERDICT)])
    (rows,) = read_sources(spark, mixture, [pin(spark, mixture.sources[0])])
    judging = [number for number in range(49) if is_held_out([f"fresh {number}"])]
    assert rows.counts[LEARNED] == 49 - len(judging)
    assert {row.inputs[0] for row in rows.judging} == {f"fresh {n}" for n in judging if n % 2}


def test_an_instruction_tuning_registers_a_model_and_says_how_well_it_does_each_task(tuned, tables):
    report = tuned[0]
    assert {one.task: one.is_unseen for one in report.generalization.tasks} == {
        "verdict": False, "topic": True,
    }  # fmt: skip
    assert report.generalization.unseen.tasks == 1
    assert report.sources[0].rows[LEARNED] == report.sources[0].pieces
    assert f"{tables}/others version 0, task topic: judges only (300 answered rows)" in str(report)
    assert report.model == "models:/labeler/1"
    assert report.gate.verdict in ("promoted", "inconclusive", "rejected")


def test_a_call_that_ended_goes_on_with_the_versions_that_it_began_with(
    spark, table, base, monkeypatch, mlflow_store
):
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('t', id) AS text, 'fresh' AS gold FROM range(30)"
    )
    mixture = sl.mixture([sl.source(table, VERDICT, key="id", answers="gold")])

    def tune():
        return sl.instruction_tune(
            spark, mixture, registered_name="ended", base=base.reference, config=CONFIG, progress=False
        )

    with monkeypatch.context() as broken:
        broken.setattr("sparklabel.training.instruction.tune.promote_if_better", ended)
        with pytest.raises(KeyboardInterrupt):
            tune()
    spark.sql(f"INSERT INTO {table} SELECT id + 100, 'new', 'rotten' FROM range(30)")
    report = tune()
    assert (report.sources[0].version, report.model) == (0, "models:/ended/1")
    assert tune().sources[0].version == 1


def ended(*_, **__):
    raise KeyboardInterrupt


def test_an_equal_mixture_is_packed_once(tuned):
    first, second, folders = tuned
    assert first.packs == second.packs
    assert len(folders) == 1


def test_a_tuned_model_labels_any_task_through_spark(spark, tuned, small, label):
    report = label(small, TOPIC, model=tuned[0].model, engine="auto")
    (row,) = spark.sql(f"SELECT DISTINCT topic_label.model, topic_label.status FROM {small}").collect()
    assert report.labeled == 6
    assert (row.model.rpartition("@")[0], row.status) == (tuned[0].model, "ok")


def test_a_tuned_model_whose_files_were_changed_is_refused(tuned):
    model = registry.resolve(tuned[1].model)
    shutil.rmtree(cache_folder("models") / f"adapter-{model.sha256[:32]}")  # this host's copy, which judged
    (weights,) = Path(model.location.removeprefix("file://")).glob("model/*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match="not those that were registered"):
        registry.fetch(model)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ("range(0)", AnswersError, "has no answers in its column 'gold'"),
        ("(SELECT id FROM range(40) WHERE id < 0)", AnswersError, "has no answers"),
        (
            "(SELECT id, 'sour' AS gold FROM range(40))",
            AnswersError,
            "40 of 40 answers that the task 'verdict' does not take, such as 'sour'",
        ),
    ],
)
def test_a_table_that_cannot_teach_is_named(spark, table, base, rows, error, message):
    gold = "gold" if "gold" in rows else "'fresh' AS gold"
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('t', id) AS text, {gold} FROM {rows}")
    mixture = sl.mixture([sl.source(table, VERDICT, key="id", answers="gold")])
    with pytest.raises(error, match=message) as told:
        sl.instruction_tune(spark, mixture, registered_name="none", base=base.reference)
    assert table in str(told.value)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ({"answers": "nothing"}, ColumnError, "nothing"),
        ({}, ColumnError, "has no labels of the task 'verdict'.\n.*answers="),
        ({"column": "gold"}, ColumnError, "has no labels of the task 'verdict'.\n.*answers="),
        ({"table": "default.no_such_table", "answers": "gold"}, TableError, "no_such_table"),
    ],
)
def test_what_a_source_names_and_a_table_has_not_is_told(spark, tables, base, source, error, message):
    given = {"table": f"{tables}/reviews", "key": "id"} | source
    mixture = sl.mixture([sl.source(given.pop("table"), VERDICT, **given)])
    with pytest.raises(error, match=message):
        sl.instruction_tune(spark, mixture, registered_name="none", base=base.reference)


def test_instructions_that_fill_a_pack_are_refused(spark, mixture, base):
    with pytest.raises(TaskError, match="and a pack has 16"):
        sl.instruction_tune(
            spark,
            mixture,
            registered_name="none",
            base=base.reference,
            config=sl.TrainingConfig(max_tokens=16),
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"judge_rows": 0}, "judge_rows=0"),
        ({"mixture": "reviews"}, "'reviews' is not a mixture"),
        ({"config": sl.TrainingConfig(parameters="all", rank=8)}, "rank=8, which is of adapters"),
        ({"config": sl.TrainingConfig(shard=True)}, "shard=True divides the model among processes"),
    ],
)
def test_a_wrong_argument_is_named(spark, mixture, base, options, message):
    given = {"mixture": mixture, "registered_name": "none", "base": base.reference} | options
    with pytest.raises(SetupError, match=message):
        sl.instruction_tune(spark, given.pop("mixture"), **given)


def test_rows_of_a_task_that_several_tables_have_are_told(spark, tables, caplog):
    sources = [
        sl.source(f"{tables}/{name}", VERDICT, key="id", answers="gold") for name in ("reviews", "copied")
    ]
    spark.sql(
        f"CREATE TABLE delta.`{tables}/copied` USING DELTA AS SELECT * FROM delta.`{tables}/reviews` WHERE id < 7"
    )
    read_sources(spark, sl.mixture(sources), [pin(spark, one) for one in sources])
    assert "7 inputs of the task 'verdict' are in several of its tables" in caplog.text


def test_files_that_a_vacuum_deleted_are_told(spark, tables, pack):
    table = f"{tables}/gone"
    spark.sql(f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT * FROM delta.`{tables}/reviews`")
    mixture = sl.mixture([sl.source(table, VERDICT, key="id", answers="gold")])
    for file in Path(table).glob("*.parquet"):
        file.unlink()
    with pytest.raises(TableError, match=r"Files are gone that the mixture reads of .*gone version 0"):
        pack(mixture)
