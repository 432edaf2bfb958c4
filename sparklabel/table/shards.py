"""Shards: parts of a table's rows, by a hash of their key, that passes can work on side by side.

In: what a user wrote, `shard=(3, 8)`. Out: a condition on rows, and whether two shards share any. Needs no Spark.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from sparklabel.errors import TableError
from sparklabel.sql import quote


class Shard(NamedTuple):
    """The rows whose key hashes to `number` modulo `of`."""

    number: int
    of: int

    @classmethod
    def checked(cls, shard: Any) -> "Shard | None":
        """What a user wrote. Raises TableError unless it is None or two whole numbers, the first below the second."""
        if shard is None:
            return None
        if (found := cls.read(shard)) is None:
            raise TableError(
                f"shard={shard!r} is not a part of the rows.",
                hint="Give its number, from 0, and how many there are: shard=(3, 8).",
            )
        return found

    @classmethod
    def read(cls, shard: Any) -> "Shard | None":
        """From a tuple, or a list of JSON; None for anything else."""
        if not (isinstance(shard, list | tuple) and [type(part) for part in shard] == [int, int]):
            return None
        number, of = shard
        return cls(number, of) if 0 <= number < of else None

    def sql(self, keys: Sequence[str]) -> str:
        """The condition on rows with these key columns."""
        return f"pmod(xxhash64({', '.join(map(quote, keys))}), {self.of}) = {self.number}"


def share_rows(one: Shard | None, other: Shard | None) -> bool:
    """Whether two passes may have rows in common; None is all rows. Hashes that are equal to both numbers exist unless
    the numbers differ modulo the greatest common divisor (the Chinese remainder theorem)."""
    if one is None or other is None:
        return True
    common = math.gcd(one.of, other.of)
    return one.number % common == other.number % common
