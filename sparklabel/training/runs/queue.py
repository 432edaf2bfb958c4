"""The queue: what was submitted, who works at what, and what came of it. The door to Optuna.

In: calls as JSON, claims, heartbeats, results. Out: `QueuedRun` records, and runs to work at. A submission is a
study. A run is a chain of trials, one an attempt: Optuna's trials end once, and only WAITING to RUNNING is a
compare-and-set. So whatever happens between two statements, and however many look at once:

* a run's next attempt is derived from how its last one ended, by whoever looks; nobody has to be alive for it;
* of two that derive it at once, the trial with the lower number counts, and the other ends as superseded;
* what belongs to a run and not to an attempt (a cancelation, a retry by hand) is an attribute of the study.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from inspect import unwrap
from typing import Self

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from sparklabel.errors import SetupError
from sparklabel.redaction import without_credentials
from sparklabel.training.runs import storage
from sparklabel.training.runs.chains import Mark, QueueReader, RunChain, cancel_mark, forgive_mark
from sparklabel.training.runs.drawing import grid_distributions
from sparklabel.training.runs.records import CANCELED, QueuedRuns
from sparklabel.training.runs.search import search_from_dict
from sparklabel.training.runs.storage import queue_errors
from sparklabel.training.runs.submission import PlannedRun, Submission

_KEPT = (Mark.RUN, Mark.KIND, Mark.MLFLOW_RUN, Mark.PARAMS, Mark.CHOSEN)
"""What an attempt hands on to the next."""


class NameTaken(SetupError):
    """Another submission has the name."""


class RunQueue:
    """The queue at an address; its connections are closed at the end of its `with` block. Each method raises SetupError
    if the database fails.

    Args:
        address: Of the database, as SQLAlchemy writes it; by default SPARKLABEL_RUNS, or a file in the working
            directory.
        beat: Seconds between two heartbeats of a worker, by default 30.
        grace: Seconds without a heartbeat, by the database's clock, after which a worker counts as dead; default 120.
        must_exist: Refuses an address at which nothing was ever submitted, instead of making a queue there.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        beat: int | None = None,
        grace: int | None = None,
        must_exist: bool = False,
    ) -> None:
        self.beat_seconds = beat or storage.BEAT_SECONDS
        self._storage, self._reading = storage.open_storage(
            address, self.beat_seconds, grace or storage.GRACE_SECONDS, must_exist
        )
        self.address = without_credentials(self._storage.url)
        self._reader = QueueReader(self._reading, self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._storage, self._reading):
            one.remove_session()
            one.engine.dispose()

    def names(self) -> list[str]:
        """The names of all submissions, oldest first."""
        with self._errors():
            return self._reader.names()

    def create(self, name: str) -> None:
        """Takes a name. Nothing waits under it before `submit`. Raises NameTaken if another submission has it."""
        with self._errors():
            try:
                study_id = self._storage.create_new_study([StudyDirection.MAXIMIZE], name)
                self._storage.set_study_user_attr(study_id, Mark.BEGUN, True)
            except DuplicatedStudyError:
                hint = (
                    f"If no process is submitting it now, free the name: sparklabel runs cancel {name}."
                    if self._reader.is_begun(name)
                    else "Give another name, or retry that one's failed runs: sparklabel runs retry."
                )
                raise NameTaken(
                    f"The queue at {self.address} has a submission {name!r}.", hint=hint
                ) from None

    def forget(self, name: str) -> bool:
        """Frees a name whose submission never came to its end. Returns False, and does nothing, if it did."""
        with self._errors():
            is_begun = self._reader.is_begun(name)
            if is_begun:
                self._storage.delete_study(self._reader.study_id(name))
            return is_begun

    def submit(self, submission: Submission, runs: Sequence[PlannedRun]) -> None:
        """Queues the runs. A search's final one comes last."""
        with self._errors():
            study_id = self._reader.study_id(submission.name)
            self._storage.set_study_user_attr(study_id, Mark.SUBMISSION, submission.to_dict())
            search = search_from_dict(submission.search) if submission.search else None
            for number, run in enumerate(runs):
                attributes = {
                    Mark.RUN: number,
                    Mark.KIND: run.kind,
                    Mark.MLFLOW_RUN: run.mlflow_run,
                    Mark.PARAMS: dict(run.params),
                }
                trial = create_trial(
                    state=TrialState.WAITING, user_attrs=attributes, params=dict(run.params),
                    distributions=grid_distributions(search, run.params),
                )  # fmt: skip
                self._storage.create_new_trial(study_id, trial)
            self._storage.set_study_user_attr(study_id, Mark.READY, True)

    def runs(self, name: str | None = None, number: int | None = None) -> QueuedRuns:
        """All runs, those of one submission, or one of these, from 1. Raises SetupError if there is none such."""
        with self._errors():
            if name is not None:
                return self._records(self._reader.chosen(name, number))
            found = [chain for one in self._reader.names() for chain in self._reader.chains(one)]
            return self._records(found)

    def submission(self, name: str) -> Submission:
        """What was submitted under the name. Raises SetupError if nothing was."""
        with self._errors():
            return self._reader.submission(self._reader.known(name))

    def cancel(self, name: str, number: int | None = None) -> QueuedRuns:
        """Cancels a run, or all of a submission, that are not at an end. A running one ends with its worker's next
        heartbeat. Returns those that were."""
        with self._errors():
            chosen = [c for c in self._reader.chosen(name, number) if not c.state.is_end]
            study_id = self._reader.study_id(name)
            for chain in chosen:
                self._storage.set_study_user_attr(study_id, cancel_mark(chain.first), True)
                if chain.last.state.name == "WAITING":
                    self._cancel_waiting(chain.last._trial_id)
            return self._again(name, chosen)

    def settle(self, name: str) -> None:
        """Ends the attempts whose workers are dead: their runs wait again, have failed, or are canceled."""
        with self._errors():
            self._revive(self._reader.known(name))

    def retry(self, name: str, number: int | None = None) -> QueuedRuns:
        """Queues a run that failed or was canceled once more, or all such of a submission. Returns those that were."""
        with self._errors():
            study_id = self._reader.study_id(self._reader.known(name))
            chosen = [c for c in self._reader.chosen(name, number) if c.state.may_be_retried]
            for chain in chosen:
                self._storage.set_study_user_attr(study_id, forgive_mark(chain.first), chain.last.number)
                self._storage.set_study_user_attr(study_id, cancel_mark(chain.first), False)
            self._revive(name)
            return self._again(name, chosen)

    def _records(self, chains: Iterable[RunChain]) -> QueuedRuns:
        return QueuedRuns((chain.record() for chain in chains), self.address)

    def _again(self, name: str, chosen: Iterable[RunChain]) -> QueuedRuns:
        """The same runs of a submission, as they are now."""
        firsts = {chain.first for chain in chosen}
        return self._records(chain for chain in self._reader.chains(name) if chain.first in firsts)

    def _revive(self, name: str) -> list[RunChain]:
        """Queues the next attempts of runs whose last one was lost or may be repeated; returns all chains."""
        if self._reader.has_silent(name):  # looked for by reading: what writes takes SQLite's lock
            # Without its wrapper, which warns that it is experimental: warnings cannot be caught in one thread alone.
            unwrap(fail_stale_trials)(optuna.load_study(study_name=name, storage=self._storage))
        chains = self._reader.chains(name)
        due = [chain for chain in chains if chain.is_retry_due]
        for chain in due:
            last = chain.last
            kept = {key: value for key, value in last.user_attrs.items() if key in _KEPT}
            again = create_trial(
                state=TrialState.WAITING, user_attrs=kept, params=last.params, distributions=last.distributions
            )  # fmt: skip
            self._storage.create_new_trial(self._reader.study_id(name), again)
        return self._reader.chains(name) if due else chains

    def _becomes_running(self, trial: int) -> bool:
        try:
            # First: a trial that runs and never sent a heartbeat would not count as dead, ever.
            self._storage.record_heartbeat(trial)
            return self._storage.set_trial_state_values(trial, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _cancel_waiting(self, trial: int) -> None:
        """Ends a canceled trial that waits, unless a worker claims it first."""
        if self._becomes_running(trial):
            self._storage.set_trial_user_attr(trial, Mark.REASON, CANCELED)
            self._storage.set_trial_state_values(trial, TrialState.FAIL)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with queue_errors(self._storage.url):
            yield
