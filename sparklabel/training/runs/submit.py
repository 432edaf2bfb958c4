"""`submit`, `runs`, `cancel_run`, `retry_run`: what needs no Spark, so that a laptop can be closed after it.

In: a call and perhaps a search. Out: runs in the queue, each with an MLflow run that says SCHEDULED.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparklabel import registry
from sparklabel.arguments import unknown_name
from sparklabel.delta.paths import is_relative_table
from sparklabel.errors import SetupError
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.models.references import DEFAULT
from sparklabel.progress import WorkProgress, tell
from sparklabel.training.call import CLASSIFIER, FinetuneCall
from sparklabel.training.runs.records import QueuedRuns, RunKind
from sparklabel.training.runs.search import BASE, Grid, Search, Tpe, search_to_dict
from sparklabel.training.runs.submission import PlannedRun, Submission, now

if TYPE_CHECKING:
    from sparklabel.training.runs.claims import WorkerQueue
    from sparklabel.training.runs.queue import RunQueue

CALLS = ("finetune",)
SUBMISSION_TAG, RUN_TAG = "sparklabel.submission", "sparklabel.run"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHOWN = 20
_HIGHEST = 1000


def open_queue(address: str | None, *, must_exist: bool = True) -> "RunQueue":
    """The queue at an address. Raises SetupError, also if Optuna is not installed."""
    _check_optuna()
    from sparklabel.training.runs.queue import RunQueue

    return RunQueue(address, must_exist=must_exist)


def open_worker_queue(address: str | None) -> "WorkerQueue":
    """The same, for a worker."""
    _check_optuna()
    from sparklabel.training.runs.claims import WorkerQueue

    return WorkerQueue(address, must_exist=True)


def _check_optuna() -> None:
    if find_spec("optuna") is None:
        raise SetupError(
            "The queue of runs needs Optuna.", hint="Install it: pip install 'sparklabel[train]'."
        )


def submit(
    call: str,
    *,
    search: Search | None = None,
    name: str | None = None,
    priority: int = 0,
    max_retries: int = 3,
    queue: str | None = None,
    **arguments: Any,
) -> QueuedRuns:
    """Queues training runs. `work` takes them, here or elsewhere, now or later: nothing of this process is needed then.

    Without a search it is one run, which does what `finetune` does. With one, each candidate is trained on four fifths
    of the training answers' inputs and judged on the rest; when all are at an end, the best is trained on all training
    answers, registered, and meets the gate, once.

    Each run is an MLflow run from now on, below one for the submission; runs that go on later are the same MLflow run.

    Args:
        call: What each run does: "finetune".
        search: What the candidates vary: `grid(...)` or `tpe(...)`.
        name: What the submission is called. By default the task's name and a number, such as `intent-1`.
        priority: Of runs that wait, those with the highest come first; equal ones in the order they were submitted.
            From -1000 to 1000.
        max_retries: How often a run is restarted after its worker, its executors or a store failed. It goes on from its
            checkpoints.
        queue: The address of the database: `sqlite:////path/runs.db` for one host, `postgresql://user@host/name` for
            several. By default the environment variable SPARKLABEL_RUNS, or `sparklabel-runs.db` in the working
            directory.
        **arguments: Those of the call, without `spark` and `progress`.

    Returns:
        The runs, as `runs` lists them.

    Raises:
        SetupError: The call or an argument is unknown or out of its range, or the name is taken; the queue or MLflow
            does not answer, or Optuna is not installed.
        TaskError: `task` is not a task.

    Example:
        ```python
        sl.submit(
            "finetune", table="support.tickets", task=intent, key="ticket_id",
            search=sl.grid(learning_rate=[3e-4, 1e-3], rank=[8, 16]),
        )
        sl.work(spark)
        ```
    """
    if call not in CALLS:
        raise unknown_name("submit", "call", str(call), CALLS)
    if not isinstance(search, Grid | Tpe | None):
        raise SetupError(f"search={search!r} is neither grid(...) nor tpe(...).")
    if type(priority) is not int or abs(priority) > _HIGHEST:
        raise SetupError(f"priority={priority!r} is not a whole number from -{_HIGHEST} to {_HIGHEST}.")
    if type(max_retries) is not int or not 0 <= max_retries <= _HIGHEST:
        raise SetupError(f"max_retries={max_retries!r} is not a whole number from 0 to {_HIGHEST}.")
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise SetupError(
            f"name={name!r} is not a name for a submission.",
            hint="Letters, digits, '.', '_' and '-', at most 100, beginning with a letter or digit: intent-rates.",
        )
    asked = _checked(arguments, search)
    with open_queue(queue, must_exist=False) as opened:
        name = _take_name(opened, asked.task.name, name)
        try:
            _queue_runs(opened, name, asked, search, priority, max_retries)
            return opened.runs(name)
        except BaseException as error:  # where nothing waits under the name yet, it must not stay taken
            with suppress(SetupError):
                is_forgotten = opened.forget(name)
                error.add_note("nothing was queued" if is_forgotten else f"the runs are queued: {name}")
            raise


def runs(name: str | None = None, *, queue: str | None = None) -> QueuedRuns:
    """The runs of the queue; or of one submission (`intent-1`), or one of these (`intent-1/3`). `print` shows them as a
    table.

    Raises:
        SetupError: There is no such run or submission, or the queue does not answer.
    """
    with open_queue(queue) as opened:
        return opened.runs(*((None, None) if name is None else _parts(name)))


def cancel_run(name: str, *, queue: str | None = None) -> QueuedRuns:
    """Cancels a run (`intent-1/3`), or all of a submission (`intent-1`), that are not at an end. One that a worker has
    ends within a minute: its processes end after their current step, and what they trained is kept. A submission whose
    `submit` was killed is forgotten.

    Returns:
        Those that were canceled.

    Raises:
        SetupError: There is no such run or submission, or the queue does not answer.
    """
    submission, number = _parts(name)
    with open_queue(queue) as opened:
        if number is None and opened.forget(submission):
            tell(f"{submission} was never submitted to its end: its name is free again")
            registry.kill_scheduled_runs(SUBMISSION_TAG, submission)
            return QueuedRuns([], opened.address)
        canceled = opened.cancel(submission, number)
        ended = [run.mlflow_run for run in canceled if run.state.is_end]
        if canceled and all(run.state.is_end for run in opened.runs(submission)):
            ended.append(opened.submission(submission).mlflow_run)
    for run_id in ended:
        registry.set_run_status(run_id, "KILLED")
    return canceled


def retry_run(name: str, *, queue: str | None = None) -> QueuedRuns:
    """Queues a run that failed or was canceled once more (`intent-1/3`), or all such of a submission (`intent-1`). It
    goes on from its checkpoints, in the same MLflow run.

    Returns:
        Those that wait again.

    Raises:
        SetupError: There is no such run or submission, or the queue does not answer.
    """
    submission, number = _parts(name)
    with open_queue(queue) as opened:
        opened.settle(submission)
        ended = [run.mlflow_run for run in opened.runs(submission, number) if run.state.may_be_retried]
        if ended:
            ended.append(opened.submission(submission).mlflow_run)
        for run_id in ended:
            registry.set_run_status(run_id, "SCHEDULED")  # before a worker can take them
        return opened.retry(submission, number)


def _checked(arguments: Mapping[str, Any], search: Search | None) -> FinetuneCall:
    asked = FinetuneCall.checked(**arguments)
    if is_relative_table(asked.table):
        raise SetupError(
            f"table={asked.table!r} is relative, and a run may be worked at in another folder.",
            hint="Give the table's name or its absolute path.",
        )
    if asked.into and is_relative_table(asked.into):
        raise SetupError(
            f"into={asked.into!r} is relative.", hint="Give the table's name or its absolute path."
        )
    space = {} if search is None else search.values if isinstance(search, Grid) else search.space
    varied = space.get(BASE, ())
    bases = (asked.base, *(map(str, varied) if isinstance(varied, Sequence) else ()))
    for name, model in (*((BASE, base) for base in bases), ("encoder", asked.encoder)):
        # Elsewhere it could be taken for a hub id, and a stranger's model.
        if model.startswith(".") or (Path(model).exists() and not model.startswith("/")):
            raise SetupError(f"{name}={model!r} is a relative folder.", hint="Give its absolute path.")
    if search is not None and asked.method == CLASSIFIER:
        raise SetupError(
            "A search varies how LoRA trains, and method='classifier' chooses its settings by cross-validation itself.",
            hint="Leave search= out.",
        )
    if asked.num_processes > 1 and asked.checkpoints is None:
        raise SetupError(
            "A queued run of several processes needs a folder for checkpoints that all workers share.",
            hint='Name one: checkpoints="/mnt/shared/trainings".',
        )
    if asked.checkpoints is not None and not asked.checkpoints.startswith(("/", "file:/")):
        raise SetupError(f"checkpoints={asked.checkpoints!r} is not an absolute path.")
    config = asked.config or TrainingConfig()
    twice = [name for name in space if getattr(config, name, None) != getattr(TrainingConfig(), name, None)]
    if BASE in space and asked.base != DEFAULT:
        twice.append(BASE)
    if twice:
        raise SetupError(
            f"{twice[0]} is given by the call and varied by the search.", hint="Leave it out of one."
        )
    return asked


def _take_name(queue: "RunQueue", task: str, given: str | None) -> str:
    from sparklabel.training.runs.queue import NameTaken

    if given is not None:
        queue.create(given)
        return given
    taken, number = set(queue.names()), 1
    while True:
        name = f"{task[:80]}-{number}"
        number += 1
        if name not in taken:
            with suppress(NameTaken):  # by another process, just now
                queue.create(name)
                return name
            taken = set(queue.names()) | {name}


def _queue_runs(
    queue: "RunQueue", name: str, asked: FinetuneCall, search: Search | None, priority: int, max_retries: int
) -> None:
    tags = {SUBMISSION_TAG: name}
    parent = registry.schedule_run(name, experiment=asked.experiment, tags=tags)
    made, planned = [parent], list[PlannedRun]()
    try:
        wanted = _wanted(search)
        with WorkProgress(f"submitting {name}", len(wanted), len(wanted) > _SHOWN) as bar:
            for number, (kind, params) in enumerate(wanted, 1):
                own = tags | {RUN_TAG: f"{name}/{number}", "mlflow.parentRunId": parent}
                run_id = registry.schedule_run(f"{name}/{number}", experiment=asked.experiment, tags=own)
                made.append(run_id)
                planned.append(PlannedRun(kind, params, run_id))
                bar.advance(1)
        submission = Submission(
            name=name, call_name="finetune", call=asked.to_dict(), search=search_to_dict(search) if search else None,
            processes=asked.num_processes, use_gpu=asked.use_gpu, priority=priority, max_retries=max_retries,
            mlflow_run=parent, submitted_at=now(),
        )  # fmt: skip
        queue.submit(submission, planned)
    except BaseException:
        with suppress(SetupError):
            for run_id in made:
                registry.set_run_status(run_id, "KILLED")
        raise


def _wanted(search: Search | None) -> list[tuple[RunKind, Mapping[str, Any]]]:
    if search is None:
        return [(RunKind.RUN, {})]
    drawn = search.candidates() if isinstance(search, Grid) else [{}] * search.trials
    return [*((RunKind.CANDIDATE, params) for params in drawn), (RunKind.FINAL, {})]


def _parts(name: str) -> tuple[str, int | None]:
    submission, mark, number = _text(name).rpartition("/")
    if not mark:
        return name, None
    if not number.isdecimal():
        raise SetupError(f"{name!r} is neither a submission nor a run of one, such as intent-1/3.")
    return submission, int(number)


def _text(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise SetupError(f"{name!r} is not the name of a run or a submission.")
    return name
