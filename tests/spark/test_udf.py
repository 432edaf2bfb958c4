"""The labeler as a column and as a SQL function, with the fake engine."""

import doctest
import time

import pytest
from pyspark.sql import functions as F

import sparklabel
from sparklabel import classification, label_udf, register, register_all
from sparklabel.errors import ColumnError, ModelError, SetupError, TaskError
from sparklabel.labels.record import label_ddl
from sparklabel.udf import worker_errors

TASK = classification("verdict", "text", ["fresh", "rotten"], "Judge.")
PAIR = classification("topic", ["title", "body"], ["sports", "money"])
LABEL = label_udf(TASK, model="m", engine="fake")


@pytest.fixture(scope="module")
def reviews(spark):
    """A few rows, among them NULL, blank, and bytes that are no UTF-8."""
    return spark.sql(
        "SELECT * FROM VALUES (1, 'a fresh start'), (2, 'rotten to the core'), (3, NULL), (4, '  '), "
        "(5, CAST(X'FF20667265736820FE' AS STRING)), (6, 'a fresh start') AS t(id, text)"
    )


@pytest.fixture(scope="module")
def labels(reviews):
    """The labels of `reviews` by id."""
    rows = reviews.select("id", LABEL("text").alias("label"), LABEL("text").model.alias("m")).collect()
    return {row.id: row.label for row in rows}


@pytest.mark.parametrize("ask", [label_udf, lambda task, **k: register(spark=None, task=task, **k)])
def test_instructions_that_do_not_fit_are_refused_before_anything_is_asked(ask):
    wordy = classification("verdict", "text", ["fresh", "rotten"], "Judge. " * 2000)
    with pytest.raises(TaskError, match="of the model's 8192 tokens of context"):
        ask(wordy, model="m", engine="fake")


def plan_of(frame, capsys):
    frame.explain()
    return capsys.readouterr().out


def test_the_column_is_the_whole_record(spark, reviews):
    schema = reviews.select(LABEL("text").alias("label")).schema["label"].dataType
    assert (
        schema == spark.sql(f"SELECT CAST(NULL AS {label_ddl('STRING')}) AS label").schema["label"].dataType
    )


def test_a_row_is_answered_with_everything_that_made_the_answer(labels):
    label = labels[1]
    assert (label.value, label.status, label.source) == ("fresh", "ok", "model")
    assert (label.model, label.task_fingerprint) == ("fake:m", TASK.fingerprint)
    assert tuple(label.alternatives[0]) == ("fresh", label.confidence)
    assert (label.attempts, label.output_tokens, label.error, label.pass_id) == (1, 0, None, None)


def test_null_and_blank_rows_say_so(labels):
    assert [(labels[i].status, labels[i].value) for i in (3, 4)] == [("empty_input", None)] * 2


def test_invalid_utf8_is_one_odd_row_and_not_a_failed_job(labels):
    assert (labels[5].status, labels[5].value) == ("ok", "fresh")


def test_equal_rows_get_equal_answers(labels):
    assert labels[6].asDict() | {"labeled_at": None} == labels[1].asDict() | {"labeled_at": None}


def test_columns_may_be_names_or_expressions_of_any_type(spark):
    frame = spark.sql("SELECT 12 AS number")
    (row,) = frame.select(LABEL(frame.number).alias("label")).select("label.*").collect()
    assert row.status == "ok"


def test_two_fields_of_one_label_run_the_model_once(reviews, capsys):
    frame = reviews.withColumn("label", LABEL("text"))
    plan = plan_of(frame.select("label.value", "label.confidence"), capsys)
    assert plan.count("ArrowEvalPython") == 1
    assert plan.count("label(struct(") == 1


def test_a_filter_on_a_field_does_not_run_the_model_again(reviews, capsys):
    frame = reviews.withColumn("label", LABEL("text")).where("label.value = 'fresh'")
    plan = plan_of(frame.select("label.status"), capsys)
    assert plan.count("label(struct(") == 1


def test_the_wrong_number_of_columns_is_refused_at_once():
    with pytest.raises(ColumnError, match=r"'topic' reads 2 columns, and 1 were given") as caught:
        label_udf(PAIR, engine="fake")("title")
    assert "title, body" in caught.value.hint


def test_what_is_no_column_is_refused_at_once():
    with pytest.raises(ColumnError, match="3 is neither a column nor the name of one"):
        label_udf(TASK, engine="fake")(3)


def test_an_unknown_engine_or_option_is_named():
    with pytest.raises(SetupError, match="no engine 'gpt'"):
        label_udf(TASK, engine="gpt")
    with pytest.raises(SetupError, match=r"transformers engine has no option 'speed'.*\n.*batch_tokens"):
        label_udf(TASK, speed="high")


def test_a_model_that_does_not_resolve_is_named_before_anything_runs():
    with pytest.raises(ModelError, match="'no/such/model' does not resolve"):
        label_udf(TASK, model="no/such/model")


def test_a_registered_task_is_a_sql_function(spark, reviews):
    assert register(spark, TASK, model="m", engine="fake") == "label_verdict"
    reviews.createOrReplaceTempView("reviews")
    rows = spark.sql("SELECT label_verdict(text).value AS v FROM reviews WHERE id < 4 ORDER BY id").collect()
    assert [row.v for row in rows] == ["fresh", "rotten", None]


def test_the_function_takes_its_arguments_by_name_over_a_temp_view(spark):
    register(spark, PAIR, engine="fake", name="about")
    spark.sql("SELECT 'news' AS head, 'sports tonight' AS rest").createOrReplaceTempView("news")
    spark.sql(
        "CREATE OR REPLACE TEMP VIEW about_news AS SELECT about(body => rest, title => head) AS a FROM news"
    )
    assert spark.sql("SELECT a.value, a.model FROM about_news").first() == (
        "sports",
        "fake:smollm2-135m-instruct",
    )


def test_a_sql_function_takes_its_parameters_by_name_and_withholds_as_asked(spark):
    register(spark, TASK, model="m", engine="fake", name="sure")
    rows = spark.sql(
        "SELECT sure(text => t, min_confidence => least).status AS status FROM VALUES "
        "('fresh', 0.1D), ('fresh', 1.0D), ('fresh', NULL) AS rows(t, least)"
    ).collect()
    assert [row.status for row in rows] == ["ok", "uncertain", "ok"]


def test_a_sql_function_refuses_a_threshold_that_is_none(spark):
    register(spark, TASK, model="m", engine="fake", name="sure")
    with pytest.raises(Exception, match=r"min_confidence => 2\.0 is not between 0 and 1"):
        spark.sql("SELECT sure(text => 'fresh', min_confidence => 2.0).status").collect()


def test_registering_again_replaces_the_function(spark):
    for model in ("old", "new"):
        register(spark, TASK, model=model, engine="fake", name="again")
    assert spark.sql("SELECT again('fresh').model").first() == ("fake:new",)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_the_time_of_an_answer_is_the_same_instant_in_every_time_zone(spark, reviews, zone):
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", zone)
    try:
        (row,) = reviews.where("id = 1").select(F.unix_seconds(LABEL("text").labeled_at)).collect()
    finally:
        spark.conf.set("spark.sql.session.timeZone", before)
    assert abs(row[0] - time.time()) < 3600  # a worker remembers the answers of the tests before


def test_an_error_of_ours_comes_out_of_a_worker_as_itself(spark):
    @F.udf("int")
    def fail(number):
        raise SetupError("There is no such device.", hint="Name another.")

    with pytest.raises(SetupError) as caught, worker_errors():
        spark.range(1).select(fail("id")).collect()
    assert (caught.value.message, caught.value.hint) == ("There is no such device.", "Name another.")


def test_an_executor_without_this_sparklabel_is_named(spark):
    @F.udf("int")
    def needs(number):
        from sparklabel.udf import what_only_the_driver_has  # noqa: F401

    with (
        pytest.raises(SetupError, match=r"another version of it: ImportError: .*what_only_the_driver_has"),
        worker_errors(),
    ):
        spark.range(1).select(needs("id")).collect()


def test_all_tasks_of_a_folder_become_functions(spark, tmp_path):
    for name in ("mood", "tone"):
        (tmp_path / f"{name}.yaml").write_text(classification(name, "text", ["fresh", "rotten"]).to_yaml())
    assert register_all(spark, tmp_path, engine="fake") == ["label_mood", "label_tone"]
    row = spark.sql(
        "SELECT label_mood('fresh').value AS mood, label_tone(text => 'rotten').value AS tone"
    ).first()
    assert (row.mood, row.tone) == ("fresh", "rotten")


def test_a_folder_without_tasks_or_with_one_twice_is_refused(spark, tmp_path):
    with pytest.raises(TaskError, match="no tasks"):
        register_all(spark, tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(classification("mood", "text", ["fresh", "rotten"]).to_yaml())
    with pytest.raises(TaskError, match=r"b\.yaml has a task 'mood'"):
        register_all(spark, tmp_path)


@pytest.mark.parametrize("function", [label_udf, register, register_all])
def test_the_example_of_a_function_runs_as_written(spark, function):
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(function, function.__name__, globs={"spark": spark, "sl": sparklabel})
    assert doctest.DocTestRunner().run(example).failed == 0
