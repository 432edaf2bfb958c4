"""Stores on which Delta by default loses commits: on Amazon S3 two drivers can write the same version of a table.

In: folders that a call would write, the session's settings. Out: nothing, or an error that names the folder. Reads no
file. HDFS, Azure and Google Cloud Storage refuse to create a file twice, and so do Delta's log stores for them.
"""

import os
from collections.abc import Callable, Iterable

from pyspark.sql import SparkSession

from sparklabel.arguments import check_flags
from sparklabel.delta.errors import spark_errors
from sparklabel.delta.paths import scheme_of
from sparklabel.delta.session import is_connect
from sparklabel.delta.snapshot import TableSnapshot, folder_of
from sparklabel.errors import TableError

Setting = Callable[[str], str | None]
"""The value of a Spark setting; None if it is not set."""

_S3 = ("s3", "s3a", "s3n")
_EVERY_SCHEME = "spark.delta.logStore.class"
_BY_SCHEME = "DelegatingLogStore"
_NOT_FOR_S3 = (
    "S3SingleDriverLogStore", "HadoopFileSystemLogStore", "HDFSLogStore", "LocalLogStore", "AzureLogStore",
    "GCSLogStore",
)  # fmt: skip
"""Delta's own stores that exclude other drivers not at all, or only where the file system does. Any other class was
written for S3: Delta's `S3DynamoDBLogStore`, or somebody's own."""
_DATABRICKS = "spark.databricks.clusterUsageTags.clusterId"


def check_stores(
    spark: SparkSession, allow_unsafe_store: bool, folders: Iterable[TableSnapshot | str | bool | None]
) -> None:
    """Raises TableError for the first of the folders, given as such or by their table, where a commit of this session
    and one of another driver could replace each other, unless the user allows it. A folder that was not given is
    skipped."""
    check_flags(TableError, allow_unsafe_store=allow_unsafe_store)
    if allow_unsafe_store:
        return
    for one in folders:
        folder = _location_of(spark, one) if isinstance(one, TableSnapshot) else one
        if isinstance(folder, str) and loses_commits(folder, _setting(spark)):
            raise _unsafe(folder)


def loses_commits(folder: str, setting: Setting) -> bool:
    """Whether commits to a Delta table in the folder can be lost if two drivers write it.

    Example:
        >>> loses_commits("s3a://bucket/tickets", {}.get), loses_commits("abfss://box@account/tickets", {}.get)
        (True, False)
    """
    scheme = scheme_of(folder)
    if scheme not in _S3 or "DATABRICKS_RUNTIME_VERSION" in os.environ or setting(_DATABRICKS):
        return False
    store = (setting(_EVERY_SCHEME) or _BY_SCHEME).rpartition(".")[2]
    if store == _BY_SCHEME:
        store = (setting(f"spark.delta.logStore.{scheme}.impl") or _NOT_FOR_S3[0]).rpartition(".")[2]
    return store in _NOT_FOR_S3


def _location_of(spark: SparkSession, target: TableSnapshot) -> str:
    """The folder of a table, or, if it is not made yet, where Spark will make it: in the folder of its schema. Empty
    where there is no such schema."""
    if location := target.location or folder_of(target.name):
        return location
    schema = target.sql.rpartition(".")[0]
    try:
        return str(spark.catalog.getDatabase(schema or spark.catalog.currentDatabase()).locationUri)
    except spark_errors():
        return ""


def _setting(spark: SparkSession) -> Setting:
    # Delta reads what the session's context was started with: a later SET changes nothing, except in our eyes. Over
    # Spark Connect only the session's settings can be asked.
    conf = spark.conf if is_connect(spark) else spark.sparkContext.getConf()
    return lambda key: conf.get(key, None)


def _unsafe(folder: str) -> TableError:
    scheme = scheme_of(folder)
    return TableError(
        f"Commits to {folder} can be lost: on S3, Delta by default allows only one driver to write, and people's "
        "UPDATEs or another pass may come from a second one.",
        hint="Start every session that writes there with the package delta-storage-s3-dynamodb and "
        f"spark.delta.logStore.{scheme}.impl=io.delta.storage.S3DynamoDBLogStore; or, if nothing but this driver ever "
        "writes there, pass allow_unsafe_store=True (--allow-unsafe-store).",
    )
