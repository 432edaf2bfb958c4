"""The registry, the only door to MLflow: runs are logged, models versioned, resolved, fetched, promoted.

`resolve` and `fetch` take every model reference, MLflow's or not: what serves a model calls these.
MLflow is imported inside the functions that need it, because that takes seconds.
"""

from sparklabel.registry.calibrators import find_calibrator, has_store, log_calibrator
from sparklabel.registry.runs import Run, start_run
from sparklabel.registry.serving import CARD, LocalModel, base_record, fetch, resolve
from sparklabel.registry.store import connect, store_errors
from sparklabel.registry.versions import (
    CHAMPION,
    champion,
    check_registered_name,
    default_registered_name,
    log_version,
    promote,
)

__all__ = [
    "CARD",
    "CHAMPION",
    "LocalModel",
    "Run",
    "base_record",
    "champion",
    "check_registered_name",
    "connect",
    "default_registered_name",
    "fetch",
    "find_calibrator",
    "has_store",
    "log_calibrator",
    "log_version",
    "promote",
    "resolve",
    "start_run",
    "store_errors",
]
