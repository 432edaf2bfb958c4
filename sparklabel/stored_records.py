"""Records that are kept as JSON, and that another release may have written.

In: a dataclass, a JSON object. Out: a record. Fields that this release does not know are ignored.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def read_record(cls: type[T], found: Mapping[str, Any]) -> T:
    """A dataclass from what `asdict` gave. Raises TypeError if a field without a default is missing."""
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]  # typing has no name for dataclasses
    return cls(**{name: value for name, value in found.items() if name in known})
