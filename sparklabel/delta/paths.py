"""Paths as Spark reads them: it does not know our working directory, so a relative path means another folder there."""

import re
from typing import Any


def is_absolute(path: str) -> bool:
    """Whether the path is absolute: `/data/t`, or one with a scheme, `s3://bucket/t`, `dbfs:/t`, `file:/data/t`."""
    return re.match(r"/|\w[\w+.-]*:/", path) is not None


def is_relative_table(table: str) -> bool:
    """Whether a table is given as a relative path: neither a name, quoted or not, nor an absolute path or a URI."""
    return "/" in table and "`" not in table and not is_absolute(table)


def is_absolute_path(path: Any) -> bool:
    """Whether `path`, a user's argument, is a string and an absolute path."""
    return isinstance(path, str) and is_absolute(path)


def local_as_path(path: str) -> str:
    """The same path with `file:/data` and `file:///data` as `/data`, so that two spellings of a folder are equal."""
    return re.sub(r"^file:/+", "/", path)


def scheme_of(path: str) -> str:
    """The scheme of a path in lower case: `s3a` of `S3A://bucket/t`; empty for `/data/t`."""
    found = re.match(r"(\w[\w+.-]*):/", path)
    return found[1].lower() if found else ""
