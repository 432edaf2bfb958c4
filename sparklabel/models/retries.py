"""Downloads from a server that is busy: tried again after a while, which differs from host to host.

In: a download. Out: what it gives, or its last error. Only a server that says that it is busy is asked again: one that
cannot be reached at all, or that refuses, is an error at once.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from sparklabel.progress import tell
from sparklabel.redaction import first_line

_T = TypeVar("_T")
_LONGEST_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0)
"""Seconds. Each wait is drawn between 0 and this (full jitter), so that a thousand executors that were refused at once
do not come back at once."""


def retried(download: Callable[[], _T], what: str) -> _T:
    """What `download` gives. Asks a busy server seven times more, for 95 seconds at most; `what` is named in the log.

    Raises whatever `download` raises.
    """
    for number, longest in enumerate(_LONGEST_WAITS):
        try:
            return download()
        except OSError as error:
            if not is_busy(error):
                raise
            if not number:
                tell(f"{what}: the server is busy and will be asked again ({first_line(error)})")
        time.sleep(longest * random.random())
    return download()


def is_busy(error: BaseException) -> bool:
    """Whether a server answered, and said that the same request may succeed later: HTTP 408, 429 or 5xx."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        return error.__cause__ is not None and is_busy(error.__cause__)
    return status in (408, 429) or status >= 500
