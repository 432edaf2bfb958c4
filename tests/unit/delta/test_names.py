"""Names as they go into SQL."""

import pytest

from sparklabel.delta.snapshot import table_sql
from sparklabel.errors import ColumnError, TableError
from sparklabel.sql import quote


@pytest.mark.parametrize(
    "name", ["`a b`", "`a``b`.c", "main.`x`.`y z`", "delta.`/data/t`", "delta.`s3a://bucket/a b`"]
)
def test_a_name_that_the_caller_quoted_stays(name):
    assert table_sql(name) == name


@pytest.mark.parametrize(
    "name",
    ["`a` --", "`a` VERSION AS OF 0", "a`b", "`a`; DROP TABLE b", "`a`.", "delta.`/t` t --", "`${env:HOME}`"],
)
def test_what_is_more_than_a_name_is_refused(name):
    with pytest.raises(TableError, match="is not a table's name"):
        table_sql(name)


def test_a_name_that_spark_would_fill_in_is_refused():
    with pytest.raises(ColumnError, match="would replace what follows"):
        quote("${env:SECRET}")
