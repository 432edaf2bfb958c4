"""Runs: what a training, a pass or an evaluation logs to MLflow.

In: parameters, metrics by step, tags, the table that was read, files. Out: a run. MLflow's active run and experiment
stay as they are, so that a user's own MLflow code around ours keeps working.
"""

import hashlib
import io
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparklabel.errors import SetupError, TrainingInterrupted
from sparklabel.redaction import typed_line, without_credentials
from sparklabel.registry.store import artifact_location, connect, store_errors, tracking_uri
from sparklabel.termination import sigterm_exits

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, RunInfo

DEFAULT_EXPERIMENT = "sparklabel"
PASS_TAG = "sparklabel.pass"
"""The tag with a pass's id of the run that tracks it."""
PROCESS_TAG = "sparklabel.process"
"""The tag with the process that a pass's run lives in: host, number and when it was started."""
_OPENING_TAG = "sparklabel.opening"
_FLUSH_METRICS, _FLUSH_SECONDS = 500, 5.0


@contextmanager
def start_run(
    name: str, *, experiment: str, tags: Mapping[str, str] | None = None, run_id: str | None = None
) -> Iterator["Run"]:
    """An MLflow run: FINISHED at the end of the block, FAILED if an error leaves it, KILLED on Ctrl-C and SIGTERM.

    MLFLOW_EXPERIMENT_ID and MLFLOW_EXPERIMENT_NAME take precedence over `experiment`, which is created if it does not
    exist. Inside a user's active run the new run is its child. With `run_id` an earlier run goes on, whatever it is
    called and wherever it is; a process that had it open and goes on too gets TrainingInterrupted with its next
    metrics. Raises SetupError if `experiment` is no name, or if the store fails or has no such run.
    """
    client = connect()
    if run_id is None:
        check_experiment(experiment)
        with store_errors():
            info = client.create_run(
                experiment_id(client, experiment), tags=run_context(tags or {}), run_name=name
            ).info
        run = Run(client, info)
    else:
        run = _reopened(client, run_id)
    with sigterm_exits():
        try:
            yield run
        except BaseException as error:
            # The first error is the one to report; the last values may say what it came from.
            with suppress(SetupError, TrainingInterrupted):
                run.flush()
            with suppress(SetupError, TrainingInterrupted):
                run.check_ours()
                is_killed = isinstance(error, KeyboardInterrupt | SystemExit)
                terminate(client, run.id, "KILLED" if is_killed else "FAILED")
            raise
        run.flush()
        terminate(client, run.id, run.status)


def _reopened(client: "MlflowClient", run_id: str) -> "Run":
    opening = uuid.uuid4().hex
    with store_errors():
        client.set_tag(run_id, _OPENING_TAG, opening)
        client.update_run(run_id, status="RUNNING")
        return Run(client, client.get_run(run_id).info, opening)


def terminate(client: "MlflowClient", run_id: str, status: str) -> None:
    """Ends a run. Raises SetupError."""
    with store_errors(), redirect_stdout(io.StringIO()):  # where MLflow prints links to the run
        client.set_terminated(run_id, status)


class Run:
    """An open run. Metrics are sent in batches: every 500 values, every 5 seconds, and at the end.

    Each method raises SetupError if the store fails. `status` is what the run ends with if no error leaves its block.
    A run that was opened before keeps the parameters that it has, which MLflow does not let change, and the steps;
    `opening` is the value of its tag while this process is the one that goes on with it.
    """

    def __init__(self, client: "MlflowClient", info: "RunInfo", opening: str = "") -> None:
        self.id: str = info.run_id
        self.name: str = info.run_name
        self.experiment_id: str = info.experiment_id
        self.artifact_uri: str = info.artifact_uri
        self.status = "FINISHED"
        self.tracking_uri = tracking_uri()
        self._client = client
        self._opening, self._logged = opening, dict[str, int]()
        self._unsent: list[Metric] = []
        self._sent = time.monotonic()

    @property
    def is_reopened(self) -> bool:
        return bool(self._opening)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs parameters as text; MLflow keeps the first 6,000 characters of each."""
        from mlflow.entities import Param

        with store_errors():
            known = self._client.get_run(self.id).data.params if self._opening else {}
            items = [Param(key, str(value)) for key, value in params.items() if key not in known]
            for start in range(0, len(items), 100):  # MLflow's limit for one request
                self._client.log_batch(self.id, params=items[start : start + 100], synchronous=True)

    def log_metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Logs metrics at a step, without those that are None, and once a step. They are sent in batches."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._unsent += [
            Metric(key, float(value), now, step)
            for key, value in values.items()
            if value is not None and not self._is_logged(key, step)
        ]
        if len(self._unsent) >= _FLUSH_METRICS or time.monotonic() - self._sent > _FLUSH_SECONDS:
            self.flush()

    def _is_logged(self, key: str, step: int) -> bool:
        """Whether an earlier opening of the run has logged the metric at this step: MLflow would keep both values."""
        if not (self._opening and step):
            return False
        if key not in self._logged:
            with store_errors():
                history = self._client.get_metric_history(self.id, key)
            self._logged[key] = max((metric.step for metric in history), default=0)
        return step <= self._logged[key]

    def check_ours(self) -> None:
        """Raises TrainingInterrupted if another process has opened the run since: this one was taken for dead."""
        if not self._opening:
            return
        with store_errors():
            tags = self._client.get_run(self.id).data.tags
        if tags.get(_OPENING_TAG) != self._opening:
            raise TrainingInterrupted(f"Another process goes on with the MLflow run {self.id}.")

    def logged(self) -> tuple[dict[str, float], dict[str, str]]:
        """The newest value of each metric, and the tags, as the store has them."""
        with store_errors():
            data = self._client.get_run(self.id).data
        return dict(data.metrics), dict(data.tags)

    def flush(self) -> None:
        """Sends the metrics that have not been sent yet."""
        if self._unsent:
            self.check_ours()
        with store_errors():
            for start in range(0, len(self._unsent), 1000):  # MLflow's limit for one request
                self._client.log_batch(self.id, metrics=self._unsent[start : start + 1000], synchronous=True)
        self._unsent, self._sent = [], time.monotonic()

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets tags, as text."""
        from mlflow.entities import RunTag

        items = [RunTag(k, str(v)) for k, v in tags.items()]
        with store_errors():
            self._client.log_batch(self.id, tags=items, synchronous=True)

    def log_table(self, name: str, *, location: str, version: int, context: str = "training") -> None:
        """Logs lineage: version `version` of the Delta table at `location` was read, for `context`."""
        from mlflow.data.delta_dataset_source import DeltaDatasetSource
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = str(DeltaDatasetSource(path=location, delta_table_version=version).to_json())
        dataset = Dataset(name, hashlib.sha256(source.encode()).hexdigest()[:8], "delta_table", source)
        tag = InputTag("mlflow.data.context", context)
        with store_errors():
            self._client.log_inputs(self.id, datasets=[DatasetInput(dataset, tags=[tag])])

    def log_folder(self, folder: Path, to: str | None = None) -> None:
        """Logs a folder's files as artifacts, under the artifact path `to`. Raises SetupError."""
        with self._files_kept():
            self._client.log_artifacts(self.id, str(folder), to)

    def log_text(self, name: str, text: str) -> None:
        """Logs a text as the artifact `name`. Raises SetupError."""
        with self._files_kept():
            self._client.log_text(self.id, text, name)

    @contextmanager
    def _files_kept(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each kind of store lets its own client's errors through
            raise SetupError(
                f"MLflow cannot keep files at {without_credentials(self.artifact_uri)}: {typed_line(error)}",
                hint="Check the address and the credentials. MLflow needs a client of the store where it runs: for "
                "s3:// install boto3.",
            ) from error


def check_experiment(experiment: object) -> None:
    """Raises SetupError unless it can be an experiment's name."""
    if not (isinstance(experiment, str) and experiment.strip()):
        raise SetupError(f"experiment={experiment!r} is not the name of an MLflow experiment.")


def experiment_id(client: "MlflowClient", default: str) -> str:
    """Of the experiment to log to, which is made if it is not there. Raises SetupError if it was deleted."""
    from mlflow.exceptions import MlflowException

    if chosen := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return chosen
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or default
    if found := client.get_experiment_by_name(name):
        if found.lifecycle_stage == "deleted":
            raise SetupError(
                f"The MLflow experiment {name!r} was deleted.",
                hint=f"Restore it (mlflow experiments restore --experiment-id {found.experiment_id}), or name another: "
                "experiment='...', or MLFLOW_EXPERIMENT_NAME.",
            )
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name, artifact_location=artifact_location(name)))
    except MlflowException as error:  # another job created it first
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def find_experiment(client: "MlflowClient", default: str) -> str | None:
    """The id of the experiment that `start_run` would log to; None if it does not exist, or was deleted."""
    if chosen := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return chosen
    found = client.get_experiment_by_name(os.environ.get("MLFLOW_EXPERIMENT_NAME") or default)
    return str(found.experiment_id) if found and found.lifecycle_stage == "active" else None


def run_context(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags with what MLflow itself adds: user, source, git commit, and the parent run inside an active run."""
    import mlflow
    from mlflow.tracking.context.git_context import GitRunContext
    from mlflow.tracking.context.registry import resolve_tags

    parent = mlflow.active_run()
    above = {"mlflow.parentRunId": parent.info.run_id} if parent else {}
    # MLflow would warn three times if git is not installed.
    return dict(resolve_tags({**above, **tags}, ignore=[] if shutil.which("git") else [GitRunContext]))
