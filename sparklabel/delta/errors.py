"""The exceptions of Spark and Delta, and the line of them that a user can read."""

import re

from sparklabel.redaction import first_line, shortened

_DEATH = re.compile(r"Python worker exited unexpectedly|ExecutorLostFailure")
"""How Spark says that a process died in which a task ran: it was killed for its memory, or a library crashed."""

_STORAGE = re.compile(
    r"^.*(No space left on device|Disk quota exceeded|File too large|Read-only file system|Permission denied|"
    r"Access ?Denied|AccessControlException|not authorized to perform).*$",
    re.IGNORECASE | re.MULTILINE,
)
"""Spark has no error condition for it."""


def java_errors() -> tuple[type[Exception], ...]:
    """What a classic session raises for Delta's own exceptions. Empty with only Spark Connect's client
    (pyspark-client), which has no py4j."""
    try:
        from py4j.protocol import Py4JJavaError
    except ImportError:
        return ()
    return (Py4JJavaError,)


def spark_errors() -> tuple[type[Exception], ...]:
    """What a statement can raise: PySpark's errors, and JVM exceptions that py4j passes through."""
    from pyspark.errors import PySparkException

    return (PySparkException, *java_errors())


def session_errors() -> tuple[type[Exception], ...]:
    """The same, and what is raised when the session itself has died: its JVM is gone, or nobody listens."""
    try:
        from py4j.protocol import Py4JError
    except ImportError:
        return (*spark_errors(), ConnectionError)
    return (*spark_errors(), Py4JError, ConnectionError)


def error_message(error: Exception) -> str:
    """The first line of Spark's message."""
    # py4j's own first line only says that the JVM raised something.
    return first_line(getattr(error, "java_exception", error), longest=300)


def storage_refusal(error: Exception) -> str:
    """The line in which a file system or an object store says that it is full or that it takes no writes; empty if the
    error is another one."""
    refused = _STORAGE.search(str(error))
    return shortened(refused[0].strip(" :"), 300) if refused else ""


def is_death(error: Exception) -> bool:
    """Whether Spark raised this because a process died in which a task ran."""
    return bool(_DEATH.search(str(error)))
