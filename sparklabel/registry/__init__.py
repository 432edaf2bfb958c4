"""The registry, the only door to MLflow: logs runs, and registers, resolves, fetches and promotes models.

`resolve` and `fetch` take every kind of model reference, so that other rooms need not know which are MLflow's. MLflow's
import takes seconds: it happens inside the functions that need it.
"""

from sparklabel.models.base_record import base_record
from sparklabel.registry.calibrators import find_calibrator, log_calibrator
from sparklabel.registry.other_runs import (
    end_run_of,
    end_runs_of_dead_processes,
    has_run,
    kill_scheduled_runs,
    log_files,
    metric_history,
    schedule_run,
    set_run_status,
    this_process,
)
from sparklabel.registry.runs import (
    DEFAULT_EXPERIMENT,
    PASS_TAG,
    PROCESS_TAG,
    Run,
    check_experiment,
    start_run,
)
from sparklabel.registry.serving import (
    ADAPTER,
    CLASSIFIER,
    ENCODER_FOLDER,
    MANIFEST,
    WHOLE,
    LocalModel,
    fetch,
    resolve,
    tokenizer_folder,
    unregistered_version,
)
from sparklabel.registry.store import connect, has_store, store_errors
from sparklabel.registry.versions import (
    CHAMPION,
    champion,
    check_registered_name,
    default_registered_name,
    log_version,
    promote,
    version_of,
)

__all__ = [
    "ADAPTER",
    "CHAMPION",
    "CLASSIFIER",
    "DEFAULT_EXPERIMENT",
    "ENCODER_FOLDER",
    "MANIFEST",
    "PASS_TAG",
    "PROCESS_TAG",
    "WHOLE",
    "LocalModel",
    "Run",
    "base_record",
    "champion",
    "check_experiment",
    "check_registered_name",
    "connect",
    "default_registered_name",
    "end_run_of",
    "end_runs_of_dead_processes",
    "fetch",
    "find_calibrator",
    "has_run",
    "has_store",
    "kill_scheduled_runs",
    "log_calibrator",
    "log_files",
    "log_version",
    "metric_history",
    "promote",
    "resolve",
    "schedule_run",
    "set_run_status",
    "start_run",
    "store_errors",
    "this_process",
    "tokenizer_folder",
    "unregistered_version",
    "version_of",
]
