"""A pass with the fake engine over a table, in a process that may be killed:
`driver.py TABLE [shared] [quoting] [shard=I/N] [go=FILE]`. With `go` it begins when that file is there."""

import os
import sys
import time
from pathlib import Path

from sparklabel import classification, generation, label_table
from sparklabel.delta.session import spark_session
from tests.jvm import QUICK_JVM

TASK = classification("verdict", "text", ["fresh", "rotten"], "Judge.")
QUOTING = generation("gist", "text", "Repeat the text.")
CONF = {
    "spark.master": "local[2]",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": QUICK_JVM,
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


def label(spark, table, task=TASK, **options):
    """A pass over the table. Its cache is named, where it is by default, so that no pass is a small one."""
    options |= {"key": "id", "model": "m-chaos", "engine": "fake", "progress": False, "adopt": True}
    return label_table(spark, table, task, cache=f"{table}/_sparklabel", **options)


def wait_for(go):
    """Says with a file of its own that it is ready."""
    go.with_name(f"ready-{os.getpid()}").touch()
    while not go.exists():
        time.sleep(0.01)


if __name__ == "__main__":
    words = dict(word.partition("=")[::2] for word in sys.argv[2:])
    session = spark_session(CONF)
    if "go" in words:
        wait_for(Path(words["go"]))
    shard = tuple(map(int, words["shard"].split("/"))) if "shard" in words else None
    task = QUOTING if "quoting" in words else TASK
    label(session, sys.argv[1], task, shared="shared" in words, shard=shard)
