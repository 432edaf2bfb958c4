"""What the queue's database says: submissions, and each run's chain of attempts. Nothing here writes.

In: studies and trials of Optuna's storage. Out: chains that know their state, and the records of them. A submission is
a study. A run is a chain of trials, one an attempt, because Optuna's trials end once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialHeartbeatModel, TrialModel
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import func, select

from sparklabel.arguments import did_you_mean
from sparklabel.errors import SetupError
from sparklabel.stored_records import read_record
from sparklabel.training.runs.records import CANCELED, CANCELING, DEAD, QueuedRun, RunKind, RunState
from sparklabel.training.runs.submission import ClaimedRun, Submission


class Mark:
    """The attributes that carry what Optuna has no field for. They are stored: their values do not change."""

    SUBMISSION = "sparklabel.submission"  # of a study
    BEGUN = "sparklabel.begun"
    READY = "sparklabel.ready"
    RUN = "run"  # of a trial
    KIND = "kind"
    PARAMS = "params"
    MLFLOW_RUN = "mlflow_run"
    WORKER = "worker"
    SIGN = "sign"
    REASON = "reason"
    NOT_RETRIED = "not_retried"
    NOT_COUNTED = "not_counted"
    SUPERSEDED = "superseded"
    ACCURACY = "accuracy"
    CHOSEN = "chosen"
    PAUSE_ENDS = "pause_ends"


def cancel_mark(run: int) -> str:
    """Of a study: whether the run with this number, from 0, is canceled."""
    return f"cancel.{run}"


def forgive_mark(run: int) -> str:
    """Of a study: the last attempt at the run before it was retried by hand."""
    return f"forgive.{run}"


def recorded_mark(run: int) -> str:
    """Of a study: the last attempt at the run that had ended when MLflow was told how."""
    return f"recorded.{run}"


@dataclass(frozen=True, slots=True)
class RunChain:
    """A run with its attempts, oldest first; superseded ones are left out."""

    submission: Submission
    first: int
    trials: Sequence[FrozenTrial]
    is_canceled: bool
    retried_after: int
    """Attempts up to this number do not count: the run was retried by hand after them."""
    recorded: int
    """MLflow knows how the run ended with this attempt; -1 for none."""
    silence: float | None
    """Seconds since the last heartbeat of the attempt that runs; None if none does."""
    grace: float
    """After so many of them the worker counts as dead."""

    @property
    def last(self) -> "FrozenTrial":
        return self.trials[-1]

    @property
    def state(self) -> RunState:
        state = self.last.state.name
        if state == "COMPLETE":
            return RunState.COMPLETE
        if state == "RUNNING":
            return RunState.LOST if (self.silence or 0.0) > self.grace else RunState.RUNNING
        if self.is_canceled:
            return RunState.CANCELED
        if state == "WAITING" or self.is_retry_due:
            return RunState.WAITING
        return RunState.FAILED

    @property
    def is_retry_due(self) -> bool:
        """Whether the last attempt failed in a way that another one may not."""
        last = self.last
        if last.state.name != "FAIL" or self.is_canceled:
            return False
        if last.number <= self.retried_after:
            return True
        return not last.user_attrs.get(Mark.NOT_RETRIED) and self.failures <= self.submission.max_retries

    @property
    def failures(self) -> int:
        """How many attempts have failed in a way that counts."""
        return sum(
            trial.state.name == "FAIL" and not trial.user_attrs.get(Mark.NOT_COUNTED)
            for trial in self._counted
        )

    @property
    def is_recorded(self) -> bool:
        """Whether MLflow knows how the run has ended."""
        return self.recorded >= self.last.number

    @property
    def _counted(self) -> Sequence[FrozenTrial]:
        return [trial for trial in self.trials if trial.number > self.retried_after]

    @property
    def reason(self) -> str:
        state, ended = self.state, [trial for trial in self._counted if trial.state.name == "FAIL"]
        if self.is_canceled and state in (RunState.RUNNING, RunState.LOST):
            return CANCELING
        if not ended or state == RunState.COMPLETE:
            return ""
        return str(ended[-1].user_attrs.get(Mark.REASON, CANCELED if self.is_canceled else DEAD))

    @property
    def pause_ends(self) -> float:
        """When the next attempt may begin, by the database's clock (`QueueReader.now`)."""
        return max((trial.user_attrs.get(Mark.PAUSE_ENDS, 0.0) for trial in self._counted), default=0.0)

    def record(self) -> QueuedRun:
        last, submission = self.last, self.submission
        attributes = last.user_attrs
        step, steps = attributes.get(Mark.SIGN) or (0, 0)
        return QueuedRun(
            submission=submission.name, number=self.first + 1, kind=RunKind(attributes[Mark.KIND]), state=self.state,
            priority=submission.priority, params=attributes.get(Mark.PARAMS) or {},
            attempts=sum(Mark.WORKER in trial.user_attrs for trial in self.trials),
            accuracy=attributes.get(Mark.ACCURACY) if last.values else None, step=step, steps=steps,
            silence=self.silence, reason=self.reason, worker=str(attributes.get(Mark.WORKER, "")),
            chosen=str(attributes.get(Mark.CHOSEN, "")), mlflow_run=attributes[Mark.MLFLOW_RUN],
            submitted_at=submission.submitted_at,
        )  # fmt: skip


class QueueReader:
    """Reads submissions and chains.

    Args:
        storage: To read with.
        where: The queue's address, for errors.
    """

    def __init__(self, storage: RDBStorage, where: str) -> None:
        self._storage, self._where = storage, where
        self._grace = float(storage.grace_period or 0)

    def names(self) -> list[str]:
        """The submissions, oldest first."""
        return [study.study_name for study in self._studies()]

    def by_urgency(self) -> list[str]:
        """The submissions, most urgent first, then oldest."""
        found = [
            (-one.user_attrs[Mark.SUBMISSION]["priority"], one._study_id, one.study_name)
            for one in self._studies()
        ]
        return [name for _, _, name in sorted(found)]

    def study_id(self, name: str) -> int:
        return self._storage.get_study_id_from_name(name)

    def has_attempt(self, study_id: int, number: int) -> bool:
        """Whether the submission has an attempt with this number. Reads one row."""
        try:
            self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        except KeyError:
            return False
        return True

    def has_silent(self, name: str) -> bool:
        """Whether one of the submission's runs has given no heartbeat for too long."""
        return any(seconds > self._grace for seconds in self._silences(self.study_id(name)).values())

    def submission(self, name: str) -> Submission:
        return read_record(Submission, self._attributes(name)[Mark.SUBMISSION])

    def known(self, name: str) -> str:
        """The name of a submission. Raises SetupError if there is none."""
        names = self.names()
        if name not in names:
            guess = did_you_mean(name, names) or "."
            raise SetupError(
                f"The queue at {self._where} has no submission {name!r}{guess}",
                hint="`sparklabel runs list` shows what it has.",
            )
        return name

    def chains(self, name: str) -> list[RunChain]:
        """The submission's runs, by number."""
        attributes, study_id = self._attributes(name), self.study_id(name)
        submission = read_record(Submission, attributes[Mark.SUBMISSION])
        silences = self._silences(study_id)
        by_run: dict[int, list[FrozenTrial]] = {}
        for trial in self._storage.get_all_trials(study_id, deepcopy=False):
            # Another tool of Optuna's may add trials.
            if Mark.RUN in trial.user_attrs and not trial.user_attrs.get(Mark.SUPERSEDED):
                by_run.setdefault(trial.user_attrs[Mark.RUN], []).append(trial)
        return [
            RunChain(
                submission, run, trials, bool(attributes.get(cancel_mark(run))),
                int(attributes.get(forgive_mark(run), -1)), int(attributes.get(recorded_mark(run), -1)),
                silences.get(trials[-1]._trial_id), self._grace,
            )
            for run, trials in sorted(by_run.items())
        ]  # fmt: skip

    def records(self, name: str) -> list[QueuedRun]:
        """The same, as they are shown."""
        return [chain.record() for chain in self.chains(name)]

    def is_begun(self, name: str) -> bool:
        """Whether something is being submitted under the name, or was not submitted to its end."""
        found = [one for one in self._storage.get_all_studies() if one.study_name == name]
        return any(one.user_attrs.get(Mark.BEGUN) and not one.user_attrs.get(Mark.READY) for one in found)

    def chain(self, name: str, first: int) -> RunChain:
        """One of them, by its number from 0."""
        return self.chains(name)[first]

    def chosen(self, name: str, number: int | None) -> list[RunChain]:
        """All chains of a submission, or the run with this number, from 1. Raises SetupError if there is none."""
        chains = self.chains(self.known(name))
        if number is None:
            return chains
        if not 1 <= number <= len(chains):
            raise SetupError(f"The submission {name!r} has no run {number}: it has {len(chains)}.")
        return [chains[number - 1]]

    def is_canceled(self, claimed: ClaimedRun) -> bool:
        return bool(self._attributes(claimed.submission.name).get(cancel_mark(claimed.run.number - 1)))

    def _silences(self, study_id: int) -> dict[int, float]:
        """The seconds since the last heartbeat of each trial that runs, by the database's clock."""
        running = (
            select(TrialHeartbeatModel.trial_id, TrialHeartbeatModel.heartbeat, func.now())
            .join(TrialModel, TrialModel.trial_id == TrialHeartbeatModel.trial_id)
            .where(TrialModel.study_id == study_id, TrialModel.state == TrialState.RUNNING)
        )
        with self._storage.engine.connect() as connection:
            return {
                # PostgreSQL's now() has a zone, and what is stored has none.
                trial: (now.replace(tzinfo=None) - heartbeat).total_seconds()
                for trial, heartbeat, now in connection.execute(running)
            }

    def now(self) -> float:
        """The database's clock, in seconds. Workers' own clocks differ."""
        with self._storage.engine.connect() as connection:
            found: datetime = connection.execute(select(func.now())).scalar_one()
        return found.replace(tzinfo=UTC).timestamp()

    def _attributes(self, name: str) -> dict[str, Any]:
        return self._storage.get_study_user_attrs(self.study_id(name))

    def _studies(self) -> list[Any]:
        """Those that are submissions, and submitted to their end; the database may have others."""
        studies = self._storage.get_all_studies()
        return sorted(
            (one for one in studies if one.user_attrs.get(Mark.READY)), key=lambda one: one._study_id
        )


def is_ready(chain: RunChain, chains: Sequence[RunChain]) -> bool:
    """Whether the run can be begun: a search's final one waits for the others."""
    if chain.last.user_attrs[Mark.KIND] != RunKind.FINAL:
        return True
    return all(other.state.is_end for other in chains if other is not chain)
