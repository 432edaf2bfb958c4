"""Tables whose first commit failed: a folder with a log that holds no commit, as a full disk leaves it.

In: a folder. Out: whether it is such a one, and the table made in it. Delta's own CREATE TABLE takes the folder for a
table, or refuses it because it is not empty. What is left there is not removed: it may be another driver's that makes
the table at this moment.
"""

import re
from collections.abc import Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from sparklabel.delta.snapshot import is_table_folder
from sparklabel.sql import quote

_PROPERTY = re.compile(r"'(delta\.\w+)' = '(\w[\w ]*)'")


def is_unfinished(spark: SparkSession, path: str) -> bool:
    """Whether the folder holds nothing but a Delta log without a commit or a checkpoint."""
    if not is_table_folder(spark, path):
        return False
    files = spark.read.format("binaryFile").option("recursiveFileLookup", True)
    try:
        # Spark lists no names that begin with _ or a dot: not the log, and in it not the leftovers of a commit.
        return not any(files.load(folder).inputFiles() for folder in (path, f"{path}/_delta_log"))
    except AnalysisException:  # it is gone again
        return False


def finish(
    spark: SparkSession, path: str, columns: str, partitioned_by: Sequence[str], properties: str
) -> None:
    """Makes the table with an empty commit, which conflicts with that of another driver who makes it. `columns` and
    `properties` are as in CREATE TABLE."""
    rows = spark.createDataFrame([], columns).write.format("delta").mode("append")
    rows.partitionBy(*partitioned_by).options(**dict(_PROPERTY.findall(properties))).save(path)
    # A writer sets only Delta's own.
    spark.sql(f"ALTER TABLE delta.{quote(path)} SET {properties}")
