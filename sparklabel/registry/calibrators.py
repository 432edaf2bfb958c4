"""Calibrators in MLflow: each is a tag of a run, found by the model and the task that it was fitted for.

In: a model's identity, a task's fingerprint. Out: the newest calibrator; older ones stay with their runs. A calibrator
is not a part of its model, because a registered version never changes.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sparklabel.confidence.calibrators import Calibrator, calibrator_from_json
from sparklabel.errors import ModelError
from sparklabel.registry.runs import Run
from sparklabel.registry.store import connect, sqlite_file, store_errors, tracking_uri

_OF, _CONTENT = "sparklabel.calibrates", "sparklabel.calibrator"


def log_calibrator(run: Run, model: str, fingerprint: str, calibrator: Calibrator) -> None:
    """Makes `calibrator` the current one for a model, by its identity, and a task, by its fingerprint."""
    run.set_tags({_OF: _key(model, fingerprint), _CONTENT: json.dumps(calibrator.to_dict())})


def find_calibrator(model: str, fingerprint: str) -> Calibrator | None:
    """The calibrator logged last, or None. Raises ModelError if it cannot be read, SetupError if the store fails."""
    if not (model.startswith("models:/") or has_store()):
        return None
    client = connect()
    with store_errors():
        experiments = [e.experiment_id for e in _all_experiments(client)]
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


def _all_experiments(client: Any) -> Iterator[Any]:
    """The store gives at most 1,000 at once."""
    token = None
    while True:
        page = client.search_experiments(page_token=token)
        yield from page
        if not (token := page.token):
            return


def _key(model: str, fingerprint: str) -> str:
    return quote(f"{model} {fingerprint}", safe="/:@ ")


def has_store() -> bool:
    """Whether a store exists. A model that is not in MLflow needs none, and looking must not create one."""
    if os.environ.get("MLFLOW_TRACKING_URI") or Path("mlflow.db").is_file():
        return True
    if "mlflow" not in sys.modules:  # a store set in Python needs that import, which takes seconds
        return False
    file = sqlite_file(tracking_uri())
    return file is None or file.is_file()
