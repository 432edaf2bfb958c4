"""Where a pass keeps what it computes, and how it may write the table.

In: what a user said. Out: a frozen record, checked. It makes nothing.
"""

from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from sparklabel.delta_table import table_around
from sparklabel.errors import TableError
from sparklabel.paths import is_absolute


@dataclass(frozen=True, slots=True)
class Storage:
    """`staging` is the folder where answers wait to be merged, None: inside the table's. `cache` is the folder of
    answers that later passes need not compute again; True: inside the table's, False: none. `deletion_vectors` switches
    these on in the table, which lifts its protocol. Raises TableError for values that cannot be."""

    staging: str | None = None
    cache: str | bool = True
    deletion_vectors: bool = False

    def __post_init__(self) -> None:
        if self.staging is not None and not is_folder(self.staging):
            raise TableError(f"staging={self.staging!r} is not the absolute path of a folder.")
        if not isinstance(self.cache, bool) and not is_folder(self.cache):
            raise TableError(
                f"cache={self.cache!r} is not the absolute path of a folder.",
                hint="Say True for one inside the table's folder, or False for none.",
            )
        check_flags(deletion_vectors=self.deletion_vectors)


def check_folders(spark: SparkSession, **given: Any) -> None:
    """Raises TableError for a folder in which a VACUUM would delete what is kept there. What is no text is none."""
    for name, folder in given.items():
        if isinstance(folder, str) and (table := table_around(spark, folder)):
            raise TableError(
                f"{name}={folder!r} lies in the folder of a Delta table ({table}), whose VACUUM would delete it.",
                hint="Name a folder outside of any table's.",
            )


def check_flags(**given: Any) -> None:
    """Raises TableError for what is neither True nor False: "no" would be taken for yes."""
    for name, value in given.items():
        if not isinstance(value, bool):
            raise TableError(f"{name}={value!r} is not True or False.")


def is_folder(path: Any) -> bool:
    """Whether it is the path of one, wherever it is read."""
    return isinstance(path, str) and is_absolute(path)
