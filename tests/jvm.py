"""How tests start a JVM that does not live long: compiled little, its classes from an archive, where there is one.

`python -m tests.jvm` makes the archive, of the classes that a pass loads. A JVM to which it does not belong goes
without it. Benchmarks and users have none of this.
"""

from pathlib import Path

ARCHIVE = Path(__file__).parents[1] / "build" / "classes.jsa"
_QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SHARED = f"-XX:SharedArchiveFile={ARCHIVE} -Xlog:disable -Xlog:all=error:stderr" if ARCHIVE.exists() else ""
QUICK_JVM = f"{_QUICK} {SHARED}".strip()


def make_archive() -> None:
    """A pass whose JVM writes down what it has loaded when it ends."""
    from tempfile import TemporaryDirectory

    from sparklabel.delta.session import spark_session
    from tests.chaos.driver import CONF, label

    ARCHIVE.parent.mkdir(exist_ok=True)
    conf = {"spark.driver.extraJavaOptions": f"{_QUICK} -XX:ArchiveClassesAtExit={ARCHIVE} -Xlog:disable"}
    spark = spark_session(CONF | conf)
    with TemporaryDirectory() as folder:
        table = f"{folder}/table"
        spark.sql(
            f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(40)"
        )
        label(spark, table)
        spark.sql(f"UPDATE delta.`{table}` SET verdict = 'rotten' WHERE id = 1")
        label(spark, table)
    jvm = spark.sparkContext._gateway.proc
    spark.stop()
    spark.sparkContext._gateway.shutdown()
    jvm.stdin.close()
    jvm.wait()


if __name__ == "__main__":
    make_archive()
