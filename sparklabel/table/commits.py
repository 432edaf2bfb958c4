"""Commits to a table that others write too: retried on conflicts, and marked with what made them.

Delta refuses a commit that another writer's commit overlapped, and never retries by itself. What is passed here reads
and guards by itself, so that running it again is safe.
"""

import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sparklabel.errors import ConflictError
from sparklabel.session import java_errors

_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
_CONFLICTS = ("DELTA_CONCURRENT", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED", "FIELD_ALREADY_EXISTS")
_ATTEMPTS = 8
_ONE_AT_A_TIME = threading.RLock()
Result = TypeVar("Result")


def retried(commit: Callable[[], Result], what: str) -> Result:
    """Runs `commit`, again after a growing random pause where another writer was first. Raises ConflictError."""
    errors: tuple[type[Exception], ...] = (PySparkException, *java_errors())
    for attempt in range(_ATTEMPTS):
        try:
            return commit()
        except errors as error:
            if not _is_conflict(error):
                raise
            if attempt == _ATTEMPTS - 1:
                raise ConflictError(
                    f"{what} met other writers {_ATTEMPTS} times in a row.",
                    hint="Nothing that was computed is lost: call again when fewer write to the table.",
                ) from error
            time.sleep(random.uniform(0.2, 1.0) * 2**attempt)
    raise AssertionError("unreachable")


def _is_conflict(error: Any) -> bool:
    if isinstance(error, PySparkException):
        condition = error.getCondition() or ""
    else:  # a classic session gives Delta's own exceptions as the JVM does: "class: [CONDITION] text"
        found = re.search(r"\[([A-Z_.]+)\]", str(error.java_exception))
        condition = found[1] if found else ""
    return condition.startswith(_CONFLICTS)


@contextmanager
def commit_metadata(spark: SparkSession, **content: Any) -> Iterator[None]:
    """Inside, commits of this session carry `content` as JSON in their userMetadata.

    A session has one such setting for all its threads: they wait for each other here.
    """
    with _ONE_AT_A_TIME:
        before = spark.conf.get(_METADATA, None)
        spark.conf.set(_METADATA, json.dumps({"sparklabel": content}))
        try:
            yield
        finally:
            if before is None:
                spark.conf.unset(_METADATA)
            else:
                spark.conf.set(_METADATA, before)
