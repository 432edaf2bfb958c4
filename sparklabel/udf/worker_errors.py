"""What workers raise, raised again on the driver.

In: an error of Spark's. Out: ours, if a worker raised it, or if a worker has no sparklabel like the driver's.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from sparklabel import errors
from sparklabel.delta.errors import spark_errors


@contextmanager
def worker_errors() -> Iterator[None]:
    """Re-raises an error of sparklabel that a worker raised as itself: Spark passes on only its text, and whether as a
    PythonException depends on what reads the answers."""
    try:
        yield
    except spark_errors() as error:
        if missing := _MISSING.search(str(error)):
            raise errors.SetupError(
                f"An executor has no sparklabel, or another version of it: {missing[0]}",
                hint=f"Install sparklabel {version('sparklabel')} on all executors, as on the driver.",
            ) from None
        found = _OURS.search(str(error))
        cls = getattr(errors, found[1], None) if found else None
        if found is None or cls is None:
            raise
        raise cls(found[2], hint=(found[3] or "").strip()) from None


_MISSING = re.compile(
    r"ModuleNotFoundError: No module named 'sparklabel[^']*'|ImportError: cannot import name .* from 'sparklabel.*"
    r"|AttributeError: Can't get attribute .* on <module 'sparklabel.*"
)
"""What Python says where a function of ours is unpickled, and what it names is not there."""
_OURS = re.compile(r"^sparklabel\.errors\.(\w+): (.*)(?:\n  (.*))?", re.MULTILINE)
