"""Ending a pass's jobs, and nobody else's."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.sql import functions as F

from sparklabel.delta.tagged_jobs import TaggedJobs


def test_only_the_jobs_of_the_pass_are_ended(spark, tmp_path):
    folder = str(tmp_path)

    def waiting(name):
        @F.udf("string")
        def wait(number):
            from pathlib import Path

            Path(folder, name).touch()
            while not Path(folder, "go").exists():
                pass
            return name

        frame = spark.range(0, 1, 1, 1).select(wait.asNondeterministic()("id").alias("name"))
        return frame.collect()[0]["name"]

    jobs = TaggedJobs(spark, "one-pass")

    def tagged():
        with jobs:
            return waiting("tagged")

    with ThreadPoolExecutor(2) as pool:
        running, other = pool.submit(tagged), pool.submit(waiting, "other")
        while not all((tmp_path / name).exists() for name in ("tagged", "other")):
            pass
        jobs.stop()
        (tmp_path / "go").touch()
        with pytest.raises(Exception, match="cancelled"):
            running.result()
        assert other.result() == "other"
