"""Paths as Spark takes them.

In: what a user wrote. Out: whether it names one folder wherever it is read: Spark knows no working folder of ours.
"""

import re


def is_absolute(path: str) -> bool:
    """Whether it is one: `/data/t`, or with a scheme, `s3://bucket/t`, `dbfs:/t`, `file:/data/t`."""
    return re.match(r"/|\w[\w+.-]*:/", path) is not None
