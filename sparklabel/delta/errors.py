"""What Spark and Delta raise, and the sentence in it that a user can read."""

from sparklabel.redaction import first_line


def java_errors() -> tuple[type[Exception], ...]:
    """What a classic session raises where Delta's own exceptions come through; nothing with Spark Connect's client
    alone (pyspark-client), which has no py4j."""
    try:
        from py4j.protocol import Py4JJavaError
    except ImportError:
        return ()
    return (Py4JJavaError,)


def spark_errors() -> tuple[type[Exception], ...]:
    """What a statement can raise: Spark's own errors, and what comes through as the JVM gives it."""
    from pyspark.errors import PySparkException

    return (PySparkException, *java_errors())


def error_message(error: Exception) -> str:
    """The first line of what Spark says."""
    # Of what comes through as the JVM gives it, py4j's own first line says only that something did.
    return first_line(getattr(error, "java_exception", error), longest=300)
