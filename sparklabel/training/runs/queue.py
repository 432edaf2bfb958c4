"""The queue: what was submitted, who works at what, and what came of it. The door to Optuna.

In: calls as JSON, claims, signs of life, results. Out: `QueuedRun` records, and runs to work at. A submission is a
study. A run is a chain of trials, one an attempt: Optuna's trials end once, and only WAITING to RUNNING is a
compare-and-set. So whatever happens between two statements, and however many look at once:

* a run's next attempt is derived from how its last one ended, by whoever looks; nobody has to be alive for it;
* of two that derive it at once, the trial with the lower number counts, and the other ends as superseded;
* what belongs to a run and not to an attempt (a cancelation, a retry by hand) is an attribute of the study.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from sparklabel.errors import SetupError
from sparklabel.redaction import without_credentials
from sparklabel.training.runs.chains import Mark, QueueReader, RunChain, cancel_mark, forgive_mark, is_ready
from sparklabel.training.runs.drawing import draw, grid_distributions
from sparklabel.training.runs.records import QueuedRuns, RunKind, RunState
from sparklabel.training.runs.search import Tpe, search_from_dict
from sparklabel.training.runs.storage import BEAT_SECONDS, GRACE_SECONDS, open_storage, queue_errors
from sparklabel.training.runs.submission import ClaimedRun, PlannedRun, Submission


class RunQueue:
    """The queue at an address; its connections are closed at the end of its `with` block. Each method raises SetupError
    if the database fails.

    Args:
        address: Of the database, as SQLAlchemy writes it; by default SPARKLABEL_RUNS, or a file in the working
            directory.
        beat: Seconds between two signs of a worker.
        grace: Seconds without a sign, by the database's clock, after which a worker counts as dead.
    """

    def __init__(
        self, address: str | None = None, *, beat: int = BEAT_SECONDS, grace: int = GRACE_SECONDS
    ) -> None:
        self.beat_seconds = beat
        self._storage, self._reading = open_storage(address, beat, grace)
        self.address = without_credentials(self._storage.url)
        self._reader = QueueReader(self._reading, self.address)

    def __enter__(self) -> "RunQueue":
        return self

    def __exit__(self, *_: object) -> None:
        for storage in (self._storage, self._reading):
            storage.remove_session()
            storage.engine.dispose()

    def names(self) -> list[str]:
        """The names of all submissions, oldest first."""
        with self._errors():
            return self._reader.names()

    def create(self, name: str) -> None:
        """Takes a name. Nothing waits under it before `submit`. Raises SetupError if it is taken."""
        with self._errors():
            try:
                self._storage.create_new_study([StudyDirection.MAXIMIZE], name)
            except DuplicatedStudyError:
                raise SetupError(
                    f"The queue at {self.address} has a submission {name!r}.",
                    hint="Give another name, or retry that one's failed runs: sparklabel runs retry.",
                ) from None

    def forget(self, name: str) -> None:
        """Frees a name under which nothing waits yet."""
        with self._errors():
            self._storage.delete_study(self._reader.study_id(name))

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

    def runs(self, name: str | None = None) -> QueuedRuns:
        """All runs, or those of one submission. Raises SetupError for an unknown name."""
        with self._errors():
            if name is None:
                chains = [chain for one in self._reader.names() for chain in self._reader.chains(one)]
            else:
                chains = self._reader.chains(self._reader.known(name))
            return QueuedRuns(chain.record() for chain in chains)

    def submission(self, name: str) -> Submission:
        """What was submitted under the name. Raises SetupError if nothing was."""
        with self._errors():
            return self._reader.submission(self._reader.known(name))

    def claim(self, fits: Callable[[Submission], bool | None], worker: str) -> ClaimedRun | None:
        """The most urgent run that waits, among equal ones the oldest; from now on it is this worker's. What dead
        workers left comes back into the queue first.

        Args:
            fits: Whether there is room for a run; False lets less urgent ones pass, None does not.
            worker: Who claims.

        Returns:
            The run; None if none waits that fits.
        """
        with self._errors():
            self.revive()
            for name in self._reader.by_urgency():
                chains = self._reader.chains(name)
                for chain in chains:
                    if chain.state != RunState.WAITING or not is_ready(chain, chains):
                        continue
                    if (has_room := fits(chain.submission)) is None:
                        return None
                    if not has_room:
                        break
                    if claimed := self._claimed(chain, worker):
                        return claimed
        return None

    def waiting(self) -> list[Submission]:
        """The submissions with runs that wait, most urgent first."""
        with self._errors():
            found = [self._reader.chains(name) for name in self._reader.by_urgency()]
            return [
                chains[0].submission for chains in found if any(c.state == RunState.WAITING for c in chains)
            ]

    def beat(self, claimed: ClaimedRun, step: int, steps: int) -> str:
        """A sign that the worker lives, and how far the run is. Returns why the run must end: "" if it must not."""

        with self._errors():
            self._storage.record_heartbeat(claimed.trial)
            try:
                self._storage.set_trial_user_attr(claimed.trial, Mark.SIGN, [step, steps])
            except UpdateFinishedTrialError:
                return "it was silent for too long, and another worker has taken it over"
            return "it was canceled" if self._reader.is_canceled(claimed) else ""

    def complete(self, claimed: ClaimedRun, accuracy: float | None) -> bool:
        """Notes a result. False if the run was taken from this worker meanwhile: then it does not count."""
        return self._end(claimed, TrialState.COMPLETE, {}, None if accuracy is None else [accuracy])

    def fail(self, claimed: ClaimedRun, reason: str, *, retry: bool, counts: bool = True) -> bool:
        """Notes a failure; `retry` if another attempt may succeed, which `counts` against the most that are made. False
        if the run was taken from this worker meanwhile."""
        attributes: dict[str, Any] = {Mark.REASON: reason}
        if not retry:
            attributes[Mark.NOT_RETRIED] = True
        if not counts:
            attributes[Mark.NOT_COUNTED] = True
        return self._end(claimed, TrialState.FAIL, attributes)

    def cancel(self, name: str, number: int | None = None) -> QueuedRuns:
        """Cancels a run, or all of a submission, that are not at an end. A running one ends with its worker's next
        sign. Returns those that were."""
        with self._errors():
            chosen = [c for c in self._reader.chosen(name, number) if not c.state.is_end]
            study_id = self._reader.study_id(name)
            for chain in chosen:
                self._storage.set_study_user_attr(study_id, cancel_mark(chain.first), True)
                if chain.last.state.name == "WAITING":
                    self._withdraw(chain.last._trial_id, "it was canceled")
            firsts = {chain.first for chain in chosen}
            return QueuedRuns(c.record() for c in self._reader.chains(name) if c.first in firsts)

    def retry(self, name: str, number: int | None = None) -> QueuedRuns:
        """Queues a run that failed or was canceled once more, or all such of a submission. Returns those that were."""
        with self._errors():
            study_id = self._reader.study_id(self._reader.known(name))
            chosen = [
                c
                for c in self._reader.chosen(name, number)
                if c.state in (RunState.FAILED, RunState.CANCELED)
            ]
            for chain in chosen:
                self._storage.set_study_user_attr(study_id, forgive_mark(chain.first), chain.last.number)
                self._storage.set_study_user_attr(study_id, cancel_mark(chain.first), False)
            self._revive(name)
            firsts = {chain.first for chain in chosen}
            return QueuedRuns(c.record() for c in self._reader.chains(name) if c.first in firsts)

    def revive(self) -> None:
        """Queues the next attempts of runs whose last one was lost or may be repeated."""
        with self._errors():
            for name in self._reader.by_urgency():
                self._revive(name)

    def _revive(self, name: str) -> None:

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is experimental, it says; it is tested here
            fail_stale_trials(optuna.load_study(study_name=name, storage=self._storage))
        study_id = self._reader.study_id(name)
        for chain in self._reader.chains(name):
            if chain.is_retry_due:
                last = chain.last
                kept = {
                    key: last.user_attrs[key] for key in (Mark.RUN, Mark.KIND, Mark.MLFLOW_RUN, Mark.PARAMS)
                }
                again = create_trial(
                    state=TrialState.WAITING, user_attrs=kept, params=last.params, distributions=last.distributions
                )  # fmt: skip
                self._storage.create_new_trial(study_id, again)

    def _claimed(self, chain: RunChain, worker: str) -> ClaimedRun | None:

        trial = chain.last._trial_id
        # First: a trial that runs and never gave a sign would not count as dead, ever.
        self._storage.record_heartbeat(trial)
        if not self._becomes_running(trial):
            return None
        name = chain.submission.name
        rivals = [
            one for one in self._reader.chain(name, chain.first).trials
            if one._trial_id != trial
            and (one.state == TrialState.COMPLETE or (not one.state.is_finished() and one.number < chain.last.number))
        ]  # fmt: skip
        claimed = ClaimedRun(chain.submission, chain.record(), trial)
        if rivals:
            self._end(claimed, TrialState.FAIL, {Mark.SUPERSEDED: True})
            return None
        if self._reader.is_canceled(claimed):
            self._end(claimed, TrialState.FAIL, {Mark.REASON: "it was canceled"})
            return None
        self._storage.set_trial_user_attr(trial, Mark.WORKER, worker)
        if not chain.last.user_attrs[Mark.PARAMS] and claimed.run.kind == RunKind.CANDIDATE:
            search = search_from_dict(chain.submission.search)
            assert isinstance(search, Tpe)
            drawn = draw(self._storage, name, trial, search, chain.first)
            self._storage.set_trial_user_attr(trial, Mark.PARAMS, drawn)
        return ClaimedRun(chain.submission, self._reader.chain(name, chain.first).record(), trial)

    def _becomes_running(self, trial: int) -> bool:

        try:
            return self._storage.set_trial_state_values(trial, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _withdraw(self, trial: int, reason: str) -> None:
        """Ends a trial that waits, unless a worker claims it first."""
        if self._becomes_running(trial):
            self._storage.set_trial_user_attr(trial, Mark.REASON, reason)
            self._storage.set_trial_state_values(trial, TrialState.FAIL)

    def _end(
        self,
        claimed: ClaimedRun,
        state: Any,
        attributes: Mapping[str, Any],
        values: list[float] | None = None,
    ) -> bool:
        with self._errors():
            try:
                for key, value in attributes.items():
                    self._storage.set_trial_user_attr(claimed.trial, key, value)
                return self._storage.set_trial_state_values(claimed.trial, state, values)
            except UpdateFinishedTrialError:
                return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with queue_errors(self._storage.url):
            yield
