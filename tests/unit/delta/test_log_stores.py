"""Which folders Delta loses commits in when two drivers write, by their scheme and the session's settings."""

from types import SimpleNamespace

import pytest

from sparklabel.delta.log_stores import check_stores, loses_commits
from sparklabel.errors import TableError

DYNAMODB = "io.delta.storage.S3DynamoDBLogStore"


class Connect:
    """A Spark Connect session that has settings and nothing else."""

    __module__ = "pyspark.sql.connect.session"

    def __init__(self, **settings):
        self.conf = settings


class Classic:
    """A classic session: the settings that its context was started with, and those of now."""

    def __init__(self, started, now):
        self.sparkContext = SimpleNamespace(getConf=lambda: started)
        self.conf = started | now


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    """Not on Databricks."""
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)


@pytest.mark.parametrize("folder", ["s3://b/t", "s3a://b/t", "s3n://b/t", "S3A://b/t"])
def test_on_s3_commits_are_lost_by_default(folder):
    assert loses_commits(folder, {}.get)


@pytest.mark.parametrize(
    "folder",
    ["/data/t", "file:/data/t", "hdfs://n/t", "abfss://b@a/t", "gs://b/t", "oci://b@n/t", "dbfs:/t", ""],
)
def test_elsewhere_they_are_not(folder):
    assert not loses_commits(folder, {}.get)


def test_a_log_store_that_excludes_other_drivers_makes_s3_safe():
    assert not loses_commits("s3a://b/t", {"spark.delta.logStore.s3a.impl": DYNAMODB}.get)
    assert not loses_commits("s3a://b/t", {"spark.delta.logStore.class": DYNAMODB}.get)


def test_a_log_store_serves_its_own_scheme_only():
    assert loses_commits("s3://b/t", {"spark.delta.logStore.s3a.impl": DYNAMODB}.get)


@pytest.mark.parametrize(
    "store", ["io.delta.storage.S3SingleDriverLogStore", "org.apache.spark.sql.delta.storage.HDFSLogStore"]
)
@pytest.mark.parametrize("key", ["spark.delta.logStore.s3a.impl", "spark.delta.logStore.class"])
def test_naming_a_store_that_does_not_exclude_them_changes_nothing(key, store):
    assert loses_commits("s3a://b/t", {key: store}.get)


def test_one_class_for_every_scheme_may_be_the_one_that_delegates_to_each():
    settings = {
        "spark.delta.logStore.class": "org.apache.spark.sql.delta.storage.DelegatingLogStore",
        "spark.delta.logStore.s3a.impl": DYNAMODB,
    }
    assert not loses_commits("s3a://b/t", settings.get)
    assert loses_commits("s3://b/t", settings.get)


def test_databricks_coordinates_commits_itself(monkeypatch):
    assert not loses_commits("s3://b/t", {"spark.databricks.clusterUsageTags.clusterId": "1128-0"}.get)
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "18.1")
    assert not loses_commits("s3://b/t", {}.get)


def test_the_refusal_names_the_folder_the_reason_and_both_ways_out():
    with pytest.raises(TableError) as caught:
        check_stores(Connect(), False, ["/data/t", None, True, "s3a://b/staging"])
    assert caught.value.message.startswith("Commits to s3a://b/staging can be lost")
    assert "one driver" in caught.value.message
    assert f"spark.delta.logStore.s3a.impl={DYNAMODB}" in caught.value.hint
    assert "allow_unsafe_store=True" in caught.value.hint


def test_who_allows_it_is_not_refused():
    check_stores(Connect(), True, ["s3a://b/t"])


def test_over_spark_connect_the_sessions_settings_count():
    check_stores(Connect(**{"spark.delta.logStore.s3a.impl": DYNAMODB}), False, ["s3a://b/t"])


def test_in_a_classic_session_what_was_set_after_its_start_does_not_count():
    with pytest.raises(TableError, match="can be lost"):
        check_stores(Classic({}, {"spark.delta.logStore.s3a.impl": DYNAMODB}), False, ["s3a://b/t"])
    check_stores(Classic({"spark.delta.logStore.s3a.impl": DYNAMODB}, {}), False, ["s3a://b/t"])


def test_permission_is_true_or_false():
    with pytest.raises(TableError, match="allow_unsafe_store='no' is neither True nor False"):
        check_stores(Connect(), "no", ["s3a://b/t"])
