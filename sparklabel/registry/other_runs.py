"""Runs that are not open in this process: scheduled, looked at, ended, given files.

In: a run's id. Out: its state or values. `runs` has those that this process logs to.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sparklabel.machine import host_id, process_start
from sparklabel.registry.runs import (
    PASS_TAG,
    PROCESS_TAG,
    Run,
    experiment_id,
    find_experiment,
    run_context,
    terminate,
)
from sparklabel.registry.store import connect, store_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EXPERIMENTS_AT_ONCE = 100
"""MLflow's databases refuse a search in thousands of experiments."""


def schedule_run(name: str, *, experiment: str, tags: Mapping[str, str]) -> str:
    """The id of a new run that nobody works at yet: `start_run(run_id=...)` goes on with it. Raises SetupError."""
    client = connect()
    with store_errors():
        run_id: str = client.create_run(
            experiment_id(client, experiment), tags=run_context(tags), run_name=name
        ).info.run_id
        client.update_run(run_id, status="SCHEDULED")
    return run_id


def set_run_status(run_id: str, status: str) -> None:
    """Says what became of a run that is not open here: SCHEDULED, RUNNING, FINISHED, FAILED or KILLED. Raises
    SetupError."""
    client = connect()
    with store_errors():
        if status in ("SCHEDULED", "RUNNING"):
            client.update_run(run_id, status=status)
        else:
            terminate(client, run_id, status)


def kill_scheduled_runs(tag: str, value: str) -> None:
    """Ends the runs with this tag that nobody has begun: whoever scheduled them was killed. Raises SetupError."""
    client = connect()
    with store_errors():
        token = None
        while True:
            page = client.search_experiments(max_results=_EXPERIMENTS_AT_ONCE, page_token=token)
            _kill_runs(client, [one.experiment_id for one in page], tag, value, "SCHEDULED")
            if not (token := page.token):
                return


def _kill_runs(client: "MlflowClient", experiments: list[str], tag: str, value: str, status: str) -> None:
    """Ends the runs of these experiments with this tag and status."""
    wanted = f"tags.`{tag}` = '{value}' AND attributes.status = '{status}'"
    # A page at a time: those that are ended are not found again.
    while found := client.search_runs(experiments, wanted):
        for run in found:
            terminate(client, run.info.run_id, "KILLED")


def has_run(run_id: str) -> bool:
    """Whether the store has the run, and it was not deleted. Raises SetupError if the store does not answer."""
    from mlflow.exceptions import MlflowException

    client = connect()
    with store_errors():
        try:
            return bool(client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False


def metric_history(run_id: str, name: str) -> list[tuple[int, float]]:
    """A metric's values with their steps, in the order of the steps. Raises SetupError."""
    client = connect()
    with store_errors():
        return sorted((metric.step, metric.value) for metric in client.get_metric_history(run_id, name))


def log_files(run_id: str, files: Mapping[str, bytes]) -> None:
    """Logs artifacts to a run that is not open here. Raises SetupError."""
    client = connect()
    with store_errors():
        run = Run(client, client.get_run(run_id).info)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        run.log_folder(Path(folder))


def end_run_of(pass_id: str, experiment: str) -> None:
    """Ends the run of a pass that was killed: it would be RUNNING for ever. Raises SetupError if the store fails."""
    client = connect()
    with store_errors():
        where = find_experiment(client, experiment)
        if where:
            _kill_runs(client, [where], PASS_TAG, pass_id, "RUNNING")


def this_process() -> str:
    """This process, as PROCESS_TAG has it."""
    return _process(os.getpid())


def end_runs_of_dead_processes(experiment: str) -> None:
    """Ends the runs of passes whose process was killed on this host: they would be RUNNING for ever. Raises SetupError
    if the store fails."""
    client = connect()
    with store_errors():
        if not (where := find_experiment(client, experiment)):
            return
        here = f"tags.`{PROCESS_TAG}` LIKE '{host_id()}:%' AND attributes.status = 'RUNNING'"
        for run in client.search_runs([where], here):
            process = run.data.tags[PROCESS_TAG]
            host, pid, _ = process.rsplit(
                ":", 2
            )  # LIKE takes other hosts' for this one's where a name has a "_"
            if host == host_id() and pid.isdecimal() and process != _process(int(pid)):
                terminate(client, run.info.run_id, "KILLED")


def _process(pid: int) -> str:
    return f"{host_id()}:{pid}:{process_start(pid)}"
