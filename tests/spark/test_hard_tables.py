"""Tables that use much of what Delta offers: labeled in place, and otherwise left as they were.

Each is labeled once, and each test looks at one thing in it.
"""

from types import SimpleNamespace

import pytest

from sparklabel import classification
from sparklabel.errors import ColumnError, KeyColumnError
from sparklabel.table.key import check_unique

TASK = classification("verdict", ["the text", "from"], ["fresh", "rotten"], "Judge.")
MADE = {
    "default.strict": (
        ["ticket no", "region"],
        "`ticket no` INT NOT NULL, region STRING NOT NULL, `the text` STRING, `from` DATE, "
        "size INT GENERATED ALWAYS AS (length(`the text`))",
        "PARTITIONED BY (region) TBLPROPERTIES ('delta.columnMapping.mode' = 'name', "
        "'delta.enableChangeDataFeed' = 'true')",
        "(`ticket no`, region, `the text`, `from`) "
        "SELECT id div 2, if(id % 2 = 0, 'north', 'so/uth =%'), {text}, date'2026-01-01'",
    ),
    "default.modern": (
        "a.`key",
        "`a.``key` STRING, n BIGINT GENERATED ALWAYS AS IDENTITY, `the text` VARCHAR(40), `from` DECIMAL(9, 2), "
        "day STRING DEFAULT 'mon'",
        "CLUSTER BY (`a.``key`) TBLPROPERTIES ('delta.columnMapping.mode' = 'name', "
        "'delta.enableDeletionVectors' = 'true', 'delta.enableRowTracking' = 'true', "
        "'delta.enableInCommitTimestamps' = 'true', 'delta.feature.allowColumnDefaults' = 'supported')",
        "(`a.``key`, `the text`, `from`) SELECT concat_ws(' ', 'it s', id, '\\\\'), {text}, id / 3",
    ),
}  # fmt: skip
"""Key, columns, what the table has switched on, and its ten rows."""


@pytest.fixture(scope="module", params=MADE)
def hard(spark, label, request):
    """Such a table before and after a pass."""
    name, (key, columns, features, rows) = request.param, MADE[request.param]
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(f"CREATE TABLE {name} ({columns}) USING DELTA {features}")
    spark.sql(f"ALTER TABLE {name} ADD CONSTRAINT says_something CHECK (`the text` <> '')")
    text = "concat(if(id % 3 = 0, 'fresh ', 'rotten '), id)"
    spark.sql(f"INSERT INTO {name} {rows.format(text=text)} FROM range(10)")
    before = look(spark, name)
    report = label(name, TASK, key=key)
    yield SimpleNamespace(name=name, before=before, report=report, after=look(spark, name))
    spark.sql(f"DROP TABLE {name}")


def look(spark, name):
    detail = spark.sql(f"DESCRIBE DETAIL {name}").first().asDict()
    rows = spark.table(name).drop("verdict", "verdict_label").collect()
    return SimpleNamespace(detail=detail, rows=sorted(map(tuple, rows)))


def test_every_row_has_its_own_answer(spark, hard):
    assert (hard.report.labeled, hard.report.by_status) == (10, {"ok": 10})
    rows = spark.table(hard.name).select("the text", "verdict").collect()
    assert all(row["the text"].startswith(row["verdict"]) for row in rows)


def test_the_other_columns_are_as_they_were(hard):
    assert hard.after.rows == hard.before.rows


def test_its_protocol_and_its_layout_are_as_they_were(hard):
    for kept in (
        "minReaderVersion",
        "minWriterVersion",
        "tableFeatures",
        "partitionColumns",
        "clusteringColumns",
    ):
        assert hard.after.detail[kept] == hard.before.detail[kept]
    before, after = (look.detail["properties"] for look in (hard.before, hard.after))
    assert {n for n in before if after.get(n) != before[n]} == {"delta.columnMapping.maxColumnId"}


@pytest.mark.parametrize("hard", ["default.strict"], indirect=True)
def test_the_change_feed_has_ten_updated_rows(spark, hard):
    changes = spark.sql(f"SELECT * FROM table_changes('{hard.name}', {hard.report.version_before + 1})")
    seen = {row["_change_type"]: row["count"] for row in changes.groupBy("_change_type").count().collect()}
    assert seen == {"update_preimage": 10, "update_postimage": 10}


def test_a_column_of_fixed_length_is_refused_and_the_hint_helps(spark, table, label, version):
    spark.sql(f"CREATE TABLE {table} (id CHAR(3), text CHAR(9)) USING DELTA")
    spark.sql(f"INSERT INTO {table} VALUES ('a', 'fresh')")
    for column in ("id", "text"):
        with pytest.raises(
            ColumnError, match=rf"{column!r} of {table} is CHAR\(\d\), by which Delta"
        ) as caught:
            label(table)
        spark.sql(caught.value.hint.partition(",")[0])
    assert label(table, dry_run=True).pending == 1


def test_a_key_may_be_text_that_is_not_utf_8_and_a_date_after_9999(spark, table, label):
    key, day = "CAST(X'FF' AS STRING)", "date_add(date'2026-01-01', CAST(3000000 + id AS INT))"
    rows = f"SELECT {key} AS name, {day} AS day, concat('fresh ', id) AS text FROM range(3)"
    spark.sql(f"CREATE TABLE {table} USING DELTA AS {rows}")
    task = classification("verdict", "text", ["fresh", "rotten"], "Judge.")
    assert label(table, task, key=["name", "day"]).by_status == {"ok": 3}
    twice = spark.table(table).unionAll(spark.table(table))
    with pytest.raises(KeyColumnError, match=r"more than once: \('\ufffd', '\+10239-\d\d-\d\d'\)"):
        check_unique(twice, table, ["name", "day"])
