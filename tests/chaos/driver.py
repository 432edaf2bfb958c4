"""A pass with the fake engine over a table, in a process that may be killed: `driver.py TABLE [shared] [quoting]`."""

import sys

from sparklabel import classification, generation, label_table
from sparklabel.delta.session import spark_session

TASK = classification("verdict", "text", ["fresh", "rotten"], "Judge.")
QUOTING = generation("gist", "text", "Repeat the text.")
CONF = {
    "spark.master": "local[2]",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


def label(spark, table, task=TASK, **options):
    """A pass over the table. Its cache is named, where it is by default, so that no pass is a small one."""
    options |= {"key": "id", "model": "m-chaos", "engine": "fake", "progress": False, "adopt": True}
    return label_table(spark, table, task, cache=f"{table}/_sparklabel", **options)


if __name__ == "__main__":
    task = QUOTING if "quoting" in sys.argv else TASK
    label(spark_session(CONF), sys.argv[1], task, shared="shared" in sys.argv)
