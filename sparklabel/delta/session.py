"""A local Spark session with Delta set up, and the check that a session has Delta.

In: Spark settings that override ours. Out: a SparkSession. Every function of sparklabel accepts any session that has
Delta; this one is for a machine without a cluster. Door: pyspark.
"""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.errors import java_errors, session_errors
from sparklabel.delta.jars import delta_jars
from sparklabel.errors import SetupError
from sparklabel.machine import cores, java_problem, java_version, memory_bytes

DELTA_CONF = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


LOCAL_CONF = DELTA_CONF | {
    "spark.master": "local[*]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    # A pass's sign of life takes the next free slot: behind a MERGE's tasks it came after minutes.
    "spark.scheduler.mode": "FAIR",
    # The defaults (200, 50, 10,000) are a cluster's: on two cores a MERGE took 18 s with them, and 4 s so; a VACUUM
    # of a few files 72 s, and 2.4 s so.
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
}
"""The settings of a local session that do not depend on the machine; conf/spark-local.conf is their copy."""


_NO_DELTA = {
    "TABLE_OR_VIEW_NOT_FOUND",
    "PARSE_SYNTAX_ERROR",
    "DATA_SOURCE_NOT_FOUND",
    "DELTA_CONFIGURE_SPARK_SESSION_WITH_EXTENSION_AND_CATALOG",
}


def spark_session(conf: Mapping[str, str] | None = None) -> SparkSession:
    """A session with Delta: the active one, or a new local one, which starts quietly in a few seconds.

    Args:
        conf: Spark settings. They override ours; on an active session, those that can still be changed are set. Under
            spark-submit the command's settings stand and ours only fill in what it leaves open: on a cluster, only
            Delta's.

    Raises:
        SetupError: Java or Delta's jars are missing, the active session has no Delta, or `conf` names a setting that
            only a new session can have.
    """
    settings = dict(conf or {})
    active = SparkSession.getActiveSession()
    if active is not None:
        require_delta(active)
        return _adapt(active, settings)
    session = _start(settings)
    try:
        require_delta(session)
    except SetupError:
        session.stop()
        raise
    return session


def is_connect(spark: SparkSession) -> bool:
    """Whether the session is a client of Spark Connect, which has no SparkContext."""
    return "connect" in type(spark).__module__


def own_job_pool(spark: SparkSession) -> None:
    """The jobs of this thread get the next free slot, instead of waiting behind a long statement's tasks, if the
    session's scheduler is FAIR, as in sessions that we start. Over Spark Connect nothing changes."""
    if not is_connect(spark):
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", "sparklabel")


def check_session(spark: object) -> None:
    """Raises SetupError for what is no Spark session, of Spark itself or over Spark Connect."""
    if not callable(getattr(spark, "sql", None)):
        raise SetupError(
            f"{type(spark).__name__} is not a Spark session.",
            hint="Give the session first, as in sl.label_table(spark, ...): sl.spark_session() makes one.",
        )


def is_gone(spark: SparkSession) -> bool:
    """Whether nobody answers for the session any more: it was stopped, or its JVM or its server has ended."""
    try:
        return not spark.version or (not is_connect(spark) and _is_stopped(spark))
    except session_errors():
        return True


def _is_stopped(spark: SparkSession) -> bool:
    context = spark.sparkContext._jsc
    return context is None or bool(context.sc().isStopped())


def require_delta(spark: SparkSession) -> None:
    """Raises SetupError unless the session's SQL reaches Delta. Works over Spark Connect; touches no table."""
    check_session(spark)
    with query_errors_unprinted():
        if _lacks_delta(spark):
            raise SetupError("This Spark session has no Delta.", hint=_HOW_TO_DELTA)


def catalog_hint(spark: SparkSession) -> str:
    """What to know of names, where the session has Spark's own catalog in memory; otherwise nothing."""
    name = "spark.sql.catalog.spark_catalog"
    in_memory = spark.conf.get("spark.sql.catalogImplementation") == "in-memory"
    if not in_memory or spark.conf.get(name, "") != DELTA_CONF[name]:
        return ""
    return "This session's catalog ends with it: a table that another session made is found by its path only."


def _lacks_delta(spark: SparkSession) -> bool:
    from pyspark.errors import PySparkException

    no_class = "Cannot find catalog plugin class"
    try:
        # A path without a table: with Delta the answer is that there is none, without it SQL misses the command.
        spark.sql("DESCRIBE DETAIL delta.`/sparklabel/is/delta/here`").collect()
    except PySparkException as error:
        return error.getCondition() in _NO_DELTA or no_class in str(error)
    except java_errors() as error:
        return no_class in str(error)
    return False


_HOW_TO_DELTA = (
    "Stop it (spark.stop()), restart Python and call sparklabel.spark_session(); or start it with Delta's jars and "
    + " ".join(f"--conf {key}={value}" for key, value in DELTA_CONF.items())
    + " (conf/spark-local.conf, docs of Delta)."
)


def _start(settings: dict[str, str]) -> SparkSession:
    for logger in _query_loggers():
        logger.setLevel(logging.CRITICAL)
    if "SPARK_REMOTE" in os.environ or "spark.remote" in settings:
        return _build(settings)
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return _build(_submitted(settings))
    return _start_local(settings)


def _start_local(settings: dict[str, str]) -> SparkSession:
    if problem := java_problem(java_version()):
        raise SetupError(problem)
    # Workers need this interpreter's version and packages.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    jars = {} if "spark.jars" in settings else {"spark.jars": ",".join(map(str, delta_jars()))}
    with _jvm_notices_dropped(), warnings.catch_warnings():
        # With spark.api.mode=connect the server has these settings, and the client warns that it cannot set them.
        warnings.filterwarnings("ignore", message="Failed to set spark")
        return _build(LOCAL_CONF | _machine_conf() | jars | settings)


def _machine_conf() -> dict[str, str]:
    """Settings that depend on this machine: the JVM gets an eighth of the memory, as models live outside it."""
    gib = max(1, min(4, memory_bytes() // 2**33))
    log4j = Path(__file__).with_name("log4j2.properties").as_uri()
    return {
        "spark.driver.memory": f"{gib}g",
        "spark.sql.shuffle.partitions": str(max(2, min(8, cores()))),
        "spark.driver.defaultJavaOptions": f"-Dlog4j2.configurationFile={log4j}",
    }


def _build(settings: Mapping[str, str]) -> SparkSession:
    return SparkSession.builder.appName("sparklabel").config(map=dict(settings)).getOrCreate()


def _submitted(settings: dict[str, str]) -> dict[str, str]:
    """Our settings, without those that spark-submit's command line and files give. On a cluster only Delta's: what
    suits one machine would hide the driver from executors on other hosts and limit shuffles to two partitions."""
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()  # or SparkConf does not ask the JVM, which has the command's settings
    given = SparkConf()
    master = settings.get("spark.master") or given.get("spark.master", "local[*]")
    ours = LOCAL_CONF if str(master).startswith("local") else DELTA_CONF
    return {key: value for key, value in ours.items() if not given.contains(key)} | settings


def _adapt(session: SparkSession, settings: Mapping[str, str]) -> SparkSession:
    changed = {key: value for key, value in settings.items() if session.conf.get(key, None) != value}
    fixed = sorted(key for key in changed if not session.conf.isModifiable(key))
    if fixed:
        raise SetupError(
            f"A Spark session is running, and {', '.join(fixed)} can only be set when one starts.",
            hint="Stop it first (spark.stop()), or leave these settings out.",
        )
    for key, value in changed.items():
        session.conf.set(key, value)
    return session


def _query_loggers() -> list[logging.Logger]:
    """pyspark's loggers that print an error as a page of JSON before it is raised."""
    from pyspark.logger import PySparkLogger

    return [
        PySparkLogger.getLogger(name) for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
    ]


@contextmanager
def query_errors_unprinted() -> Iterator[None]:
    """Keeps pyspark from logging the errors of statements that are expected to fail."""
    loggers = _query_loggers()
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _jvm_notices_dropped() -> Iterator[None]:
    """Drops what a JVM started inside the block prints to stderr before its logging is up; the rest passes through.

    A child's stderr is fixed when it starts, so it gets a pipe, which a thread copies for as long as the JVM lives.
    """
    reader, writer = os.pipe()
    stderr = os.dup(2)
    os.dup2(writer, 2)
    os.close(writer)
    threading.Thread(target=_copy_lines, args=(reader, stderr), name="jvm-stderr", daemon=True).start()
    try:
        yield
    finally:
        os.dup2(stderr, 2)


_JVM_NOTICES = (b"WARNING: Using incubator modules",)


def _copy_lines(reader: int, stderr: int) -> None:
    with os.fdopen(reader, "rb") as lines:
        for line in lines:
            if not line.startswith(_JVM_NOTICES):
                os.write(stderr, line)
    os.close(stderr)


def task_slots(spark: SparkSession) -> int:
    """How many tasks run at once: Spark divides a range into a partition per core that there is now. Works over Spark
    Connect."""
    ids = spark.range(4096).select(F.spark_partition_id().alias("p"))
    return max(1, ids.distinct().count() // int(spark.conf.get("spark.task.cpus", "1") or 1))
