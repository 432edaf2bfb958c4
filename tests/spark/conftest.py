"""One local Spark with Delta for every test that needs one."""

from itertools import count

import pytest

from sparklabel.session import spark_session

_numbers = count(1)


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """The session: two slots, its tables in a temporary folder."""
    session = spark_session(
        {
            "spark.master": "local[2]",
            "spark.driver.memory": "1g",
            "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
            # A short life: code compiled quickly beats code compiled well (a first MERGE in half the time).
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            # Small data: interpreting an expression beats compiling it (a pass in two thirds of the time).
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        }
    )
    yield session
    session.stop()


@pytest.fixture
def table(spark):
    """The name of a table that does not exist yet; what the test makes under it is dropped afterwards."""
    name = f"default.t{next(_numbers)}"
    yield name
    spark.sql(f"DROP TABLE IF EXISTS {name}")
