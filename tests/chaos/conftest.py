"""The same Spark session as tests/spark has."""

from tests.spark.conftest import cache, spark

__all__ = ["cache", "spark"]
