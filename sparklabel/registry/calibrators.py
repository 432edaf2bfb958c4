"""Calibrators in MLflow: each is a run's tag, found by the model and the task that it was fitted for.

The newest counts; the older ones stay with their runs. A calibrator is not a part of the model: a registered version
never changes.
"""

import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

from sparklabel.confidence.calibrators import Calibrator, calibrator_from_json
from sparklabel.errors import ModelError
from sparklabel.registry.runs import Run
from sparklabel.registry.store import connect, sqlite_file, store_errors, tracking_uri

_OF, _CONTENT = "sparklabel.calibrates", "sparklabel.calibrator"


def log_calibrator(run: Run, model: str, fingerprint: str, calibrator: Calibrator) -> None:
    """From now on `calibrator` counts for this model (its identity) and the task with this fingerprint."""
    run.set_tags({_OF: _key(model, fingerprint), _CONTENT: json.dumps(calibrator.to_dict())})


def find_calibrator(model: str, fingerprint: str) -> Calibrator | None:
    """The one that was logged last, or None. Raises ModelError where it cannot be read, SetupError without a store."""
    if not (model.startswith("models:/") or has_store()):
        return None
    client = connect()
    with store_errors():
        experiments = [e.experiment_id for e in client.search_experiments()]
        runs = client.search_runs(
            experiments, f"tags.`{_OF}` = '{_key(model, fingerprint)}'", order_by=["attributes.start_time DESC"],
            max_results=1,
        )  # fmt: skip
    if not runs:
        return None
    try:
        return calibrator_from_json(runs[0].data.tags[_CONTENT])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"The calibrator of {model} in the MLflow run {runs[0].info.run_id} cannot be read: {error}.",
            hint="Update sparklabel, or calibrate again.",
        ) from None


def _key(model: str, fingerprint: str) -> str:
    return quote(f"{model} {fingerprint}", safe="/:@ ")


def has_store() -> bool:
    """Whether there is a store to look into: a model from elsewhere needs none, and must not make one."""
    if "MLFLOW_TRACKING_URI" in os.environ or Path("mlflow.db").is_file():
        return True
    if "mlflow" not in sys.modules:  # its import takes seconds; who set a store in Python has imported it
        return False
    file = sqlite_file(tracking_uri())
    return file is None or file.is_file()
