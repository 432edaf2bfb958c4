"""Erased means erased: after a killed pass, a second one, a deletion, VACUUM and `tidy`, no file holds the texts."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq

from sparklabel import tidy
from tests.chaos.driver import QUOTING, label

ROWS, DEADLINE = 1500, 240
LONG = "its-own-log-keeps-no-more-than-this"
"""Delta's log has the first 32 characters of a column's smallest and largest text."""


def holds(file, words):
    """Whether the file has one of the words, in whatever column."""
    content = str(file.read_bytes())
    if file.suffix == ".parquet":
        with suppress(pa.ArrowInvalid):  # a writer was killed
            content += str(pq.read_table(file).to_pylist())
    return any(word in content for word in words)


def holds_any(table, words):
    """Whether an answer in staging quotes one of the words."""
    return any(holds(file, words) for file in table.glob("_sparklabel/gist_label-*/**/*.parquet"))


def test_no_file_has_an_erased_text(spark, tmp_path):
    table = tmp_path / "table"
    sql = f"delta.`{table}`"
    spark.sql(
        f"CREATE TABLE {sql} USING DELTA TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours') AS "
        f"SELECT id, concat('{LONG} secret', id, 'x') AS text FROM range({ROWS})"
    )
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.driver", str(table), "quoting"],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    began = time.monotonic()
    while not holds_any(table, ["secret"]) and driver.poll() is None and time.monotonic() - began < DEADLINE:
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    assert holds_any(table, ["secret"]), "nothing was staged when the pass was killed"
    label(spark, str(table), QUOTING, where="id >= 750")
    erased = [f"secret{number}x" for number in range(0, ROWS, 2)]
    spark.sql(f"DELETE FROM {sql} WHERE id % 2 = 0")
    spark.sql(f"VACUUM {sql}").collect()
    assert tidy(spark, str(table)).again_at is None
    files = [file for file in table.rglob("*") if file.is_file()]
    assert [str(file) for file in files if holds(file, erased)] == []
    assert any(holds(file, ["secret1x"]) for file in files)
