"""What is no session is refused by name, before anything is asked of it."""

import pytest

from sparklabel import cache_summary, classification, label_stream, label_table, passes, register
from sparklabel.errors import SetupError

TASK = classification("verdict", "text", ["fresh", "rotten"], "Judge.")


@pytest.mark.parametrize(
    "call",
    [
        lambda spark: label_table(spark, "tickets", TASK),
        lambda spark: label_stream(spark, "tickets", TASK, checkpoint="/nowhere"),
        lambda spark: passes(spark, "tickets"),
        lambda spark: cache_summary(spark, "tickets"),
        lambda spark: register(spark, TASK, engine="fake"),
    ],
)
@pytest.mark.parametrize("spark", [None, "local[2]"])
def test_what_is_no_session_is_refused(call, spark):
    with pytest.raises(SetupError, match=r"(NoneType|str) is not a Spark session"):
        call(spark)
