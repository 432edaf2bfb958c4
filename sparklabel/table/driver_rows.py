"""How many rows the driver takes: a table can have more of them, or longer ones, than it can hold.

In: rows to read. Out: all of them, or a sample that is the same each time, and how many were left out. 200,000 answers
are more than any figure or training here needs: an accuracy among them is known to 0.2 points.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

MAX_ROWS = 200_000
MAX_BYTES = 2**28
"""256 MiB of JSON: a quarter of what Spark lets a result have (`spark.driver.maxResultSize`), and about 1 GiB of Python
objects."""


def bounded(rows: DataFrame, order: Column | str) -> tuple[DataFrame, int]:
    """The rows, or as many as the driver takes: those with the smallest `order`, a hash. And how many were left out.
    Runs one aggregation."""
    count, size = rows.agg(F.count("*"), F.sum(row_size(*rows.columns))).collect()[0]
    most = rows_taken(count, size or 0)
    return (rows, 0) if most >= count else (rows.orderBy(order).limit(most), count - most)


def rows_taken(count: int, size: int) -> int:
    """How many of `count` rows that have `size` bytes together the driver takes."""
    return min(MAX_ROWS, count if size <= MAX_BYTES else max(1, count * MAX_BYTES // size))


def row_size(*columns: str) -> Column:
    """The bytes that these columns of a row have as JSON."""
    return F.octet_length(F.to_json(F.struct(*columns)))
