"""Calibrators in MLflow, found by the model and the task that they were fitted for.

In: a model's identity, a task's fingerprint. Out: the newest calibrator, and the run that it came from. A registered
version has its calibrator as a tag, which only those can set who may change the registry, or in the run that made it.
Other models have theirs as a tag of a run, in the experiment that passes log to, and not in others.
"""

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from sparklabel.confidence.calibrators import Calibrator, FittedCalibrator, calibrator_from_json
from sparklabel.errors import ModelError
from sparklabel.registry.runs import DEFAULT_EXPERIMENT, Run, find_experiment
from sparklabel.registry.serving import UNKNOWN
from sparklabel.registry.store import connect, has_store, store_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

_OF, _CONTENT = "sparklabel.calibrates", "sparklabel.calibrator"
"""Tags of a run. A version has `_CONTENT` with a dot and the fingerprint, as one model can be asked several tasks."""
_RUN = "run"
_VERSION = re.compile(r"models:/([^/:]+)/(\d+)(?:@sha256:[0-9a-f]+)?")


def log_calibrator(run: Run, model: str, fingerprint: str, calibrator: Calibrator) -> None:
    """Makes `calibrator` the current one for a model, by its identity, and a task, by its fingerprint."""
    content = calibrator.to_dict()
    run.set_tags({_OF: _key(model, fingerprint), _CONTENT: json.dumps(content)})
    if version := _VERSION.fullmatch(model):
        with store_errors():
            connect().set_model_version_tag(
                version[1], version[2], f"{_CONTENT}.{fingerprint}", json.dumps(content | {_RUN: run.id})
            )


def find_calibrator(
    model: str, fingerprint: str, experiment: str = DEFAULT_EXPERIMENT
) -> FittedCalibrator | None:
    """The calibrator logged last, or None.

    Args:
        model: A model's identity.
        fingerprint: The fingerprint of the task as the model is asked it.
        experiment: Where the calibrators of models are that are not registered.

    Raises:
        ModelError: It cannot be read.
        SetupError: The store fails.
    """
    version = _VERSION.fullmatch(model)
    if not (version or has_store()):
        return None
    client = connect()
    with store_errors():
        found = (
            _of_version(client, version, fingerprint)
            if version
            else _of_run(client, model, fingerprint, experiment)
        )
    if found is None:
        return None
    content, run_id = found
    try:
        fitted = calibrator_from_json(content)
        # A version's tag says itself which run fitted it.
        return FittedCalibrator(
            fitted, run_id if run_id is not None else str(json.loads(content).get(_RUN, ""))
        )
    except (KeyError, TypeError, ValueError) as error:
        where = f"the MLflow run {run_id}" if run_id else "its version's tag"
        raise ModelError(
            f"The calibrator of {model} in {where} cannot be read: {error}.",
            hint="Update sparklabel, or calibrate again.",
        ) from None


def _of_version(
    client: "MlflowClient", version: re.Match[str], fingerprint: str
) -> tuple[str, str | None] | None:
    """The calibrator as JSON, and its run, None where the JSON names it."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version(version[1], version[2])
        if content := found.tags.get(f"{_CONTENT}.{fingerprint}"):
            return content, None  # not parsed here, where every error counts as MLflow's
        # A version of an earlier release: the run that made it has its calibrator.
        tags = client.get_run(found.run_id).data.tags if found.run_id else {}
    except MlflowException as error:  # an identity of another store, or a run that was deleted
        if error.error_code in UNKNOWN:
            return None
        raise
    is_its = tags.get(_OF) == _key(version[0], fingerprint)
    return (tags.get(_CONTENT, "null"), str(found.run_id)) if is_its else None


def _of_run(client: "MlflowClient", model: str, fingerprint: str, experiment: str) -> tuple[str, str] | None:
    where = find_experiment(client, experiment)
    if where is None:
        return None
    runs = client.search_runs(
        [where], f"tags.`{_OF}` = '{_key(model, fingerprint)}'", order_by=["attributes.start_time DESC"],
        max_results=1,
    )  # fmt: skip
    return (runs[0].data.tags.get(_CONTENT, "null"), runs[0].info.run_id) if runs else None


def _key(model: str, fingerprint: str) -> str:
    return quote(f"{model} {fingerprint}", safe="/:@ ")
