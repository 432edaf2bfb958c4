"""The queue as a worker has it: claims, heartbeats, and what came of a run.

In: a worker's name, what it has room for. Out: runs that are its own until it says what came of them, or is silent for
too long.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from sparklabel.redaction import typed_line
from sparklabel.training.runs.capacity import Admission
from sparklabel.training.runs.chains import Mark, RunChain, is_ready, recorded_mark
from sparklabel.training.runs.drawing import draw
from sparklabel.training.runs.queue import RunQueue
from sparklabel.training.runs.records import CANCELED, QueuedRun, RunKind, RunState, best_of
from sparklabel.training.runs.search import Tpe, search_from_dict
from sparklabel.training.runs.submission import ClaimedRun, Submission

TAKEN_OVER = "it was silent for too long, and another worker has taken it over"
DELETED = "its submission was deleted"
_PAUSE_SECONDS, _LONGEST_PAUSE = 30.0, 900.0
"""Before an attempt that follows an error; doubled each time. What ends one at once would end all of them at once."""


class WorkerQueue(RunQueue):
    """The queue, for a worker. Submissions that are at their end are read once."""

    def __init__(
        self,
        address: str | None = None,
        *,
        beat: int | None = None,
        grace: int | None = None,
        must_exist: bool = False,
    ) -> None:
        super().__init__(address, beat=beat, grace=grace, must_exist=must_exist)
        self._ended: dict[int, int] = {}

    def claim(self, admits: Callable[[Submission], Admission], worker: str) -> ClaimedRun | None:
        """The most urgent run that waits, among equal ones the oldest; from now on it is this worker's. What dead
        workers left comes back into the queue first.

        Args:
            admits: Says what to do with a submission's runs.
            worker: Who claims.

        Returns:
            The run; None if none waits that is admitted.
        """
        with self._errors():
            for name in self._unfinished():
                chains = self._revive(name)
                self._note_end(name, chains)
                for chain in chains:
                    if chain.state != RunState.WAITING or not is_ready(chain, chains):
                        continue
                    if chain.pause_ends and chain.pause_ends > self._reader.now():
                        continue
                    admission = admits(chain.submission)
                    if admission is Admission.WAIT:
                        return None
                    if admission is Admission.SKIP:
                        break
                    if claimed := self._claimed(chain, worker):
                        return claimed
        return None

    def waiting(self) -> list[Submission]:
        """The submissions with runs that wait, most urgent first."""
        with self._errors():
            found = [self._reader.chains(name) for name in self._unfinished()]
            return [
                chains[0].submission for chains in found if any(c.state == RunState.WAITING for c in chains)
            ]

    def unrecorded(self) -> list[QueuedRun]:
        """The runs at their end of which MLflow may not know it: nobody noted that it was told."""
        with self._errors():
            found = [chain for name in self._unfinished() for chain in self._reader.chains(name)]
            return [chain.record() for chain in found if chain.state.is_end and not chain.is_recorded]

    def note_recorded(self, runs: Sequence[QueuedRun]) -> None:
        """Notes that MLflow was told how these runs of one submission have ended, but for those that were queued again
        meanwhile."""
        with self._errors():
            name = runs[0].submission
            study_id, chains = self._reader.study_id(name), self._reader.chains(name)
            for run in runs:
                first = run.number - 1
                if chains[first].state == run.state:
                    number = chains[first].last.number
                    self._storage.set_study_user_attr(study_id, recorded_mark(first), number)

    def _unfinished(self) -> list[str]:
        """The submissions, most urgent first, without those that were at their end when they were last read, unless a
        retry has begun them again."""
        return [
            name
            for name in self._reader.by_urgency()
            if (study_id := self._reader.study_id(name)) not in self._ended
            or self._reader.has_attempt(study_id, self._ended[study_id])
        ]

    def _note_end(self, name: str, chains: Sequence[RunChain]) -> None:
        if all(chain.state.is_end and chain.is_recorded for chain in chains):
            following = 1 + max(chain.last.number for chain in chains)
            self._ended[self._reader.study_id(name)] = following

    def beat(self, claimed: ClaimedRun, step: int, steps: int) -> str:
        """A heartbeat: how far the run is. Returns why the run must end: "" if it must not."""
        with self._errors():
            try:
                self._storage.record_heartbeat(claimed.trial)
                self._storage.set_trial_user_attr(claimed.trial, Mark.SIGN, [step, steps])
            except UpdateFinishedTrialError:
                return TAKEN_OVER
            except KeyError:
                return DELETED
            return CANCELED if self._reader.is_canceled(claimed) else ""

    def complete(self, claimed: ClaimedRun, accuracy: float | None) -> str:
        """Notes a result. Returns why it does not count: "" if it does."""
        # Optuna's samplers compare values, also of runs that no sampler has drawn: each has one.
        return self._end(claimed, TrialState.COMPLETE, {Mark.ACCURACY: accuracy}, [accuracy or 0.0])

    def fail(self, claimed: ClaimedRun, reason: str, *, retry: bool, counts: bool = True) -> str:
        """Notes a failure; `retry` if another attempt may succeed, after a pause, which `counts` against the most that
        are made. Returns why the failure does not count: "" if it does."""
        attributes: dict[str, Any] = {Mark.REASON: reason}
        if not retry:
            attributes[Mark.NOT_RETRIED] = True
        elif counts:
            attributes[Mark.PAUSE_ENDS] = self._pause_end(claimed)
        if not counts:
            attributes[Mark.NOT_COUNTED] = True
        return self._end(claimed, TrialState.FAIL, attributes)

    def _pause_end(self, claimed: ClaimedRun) -> float:
        """When the attempt may begin that follows this one's failure."""
        with self._errors(), suppress(KeyError):  # the submission was deleted
            before = self._reader.chain(claimed.submission.name, claimed.run.number - 1).failures
            return self._reader.now() + min(_PAUSE_SECONDS * 2**before, _LONGEST_PAUSE)
        return 0.0

    def _claimed(self, chain: RunChain, worker: str) -> ClaimedRun | None:
        trial = chain.last._trial_id
        if not self._becomes_running(trial):
            return None
        self._storage.set_trial_user_attr(trial, Mark.WORKER, worker)
        now = self._reader.chain(chain.submission.name, chain.first)
        rivals = [
            one for one in now.trials
            if one._trial_id != trial
            and (one.state == TrialState.COMPLETE or (not one.state.is_finished() and one.number < chain.last.number))
        ]  # fmt: skip
        claimed = ClaimedRun(chain.submission, now.record(), trial)
        if rivals:
            self._end(claimed, TrialState.FAIL, {Mark.SUPERSEDED: True})
            return None
        if now.is_canceled:
            self._end(claimed, TrialState.FAIL, {Mark.REASON: CANCELED})
            return None
        if not claimed.run.params and claimed.run.kind != RunKind.RUN:
            try:
                return self._chosen(claimed)
            except (OptunaError, SQLAlchemyError):  # the database's
                raise
            except Exception as error:  # noqa: BLE001 - Optuna's, on what it was told: no worker must die of it
                self._end(claimed, TrialState.FAIL, {Mark.REASON: typed_line(error), Mark.NOT_RETRIED: True})
                return None
        return claimed

    def _chosen(self, claimed: ClaimedRun) -> ClaimedRun:
        """Decides what a run of a search trains with, once: what TPE draws, or for the final run the best candidate."""
        submission, trial = claimed.submission, claimed.trial
        if claimed.run.kind == RunKind.FINAL:
            best = best_of(self._reader.records(submission.name))
            self._storage.set_trial_user_attr(trial, Mark.CHOSEN, best.name)
            self._storage.set_trial_user_attr(trial, Mark.PARAMS, dict(best.params))
        else:
            search = search_from_dict(submission.search)
            assert isinstance(search, Tpe)
            drawn = draw(self._storage, submission.name, trial, search, claimed.run.number)
            self._storage.set_trial_user_attr(trial, Mark.PARAMS, drawn)
        return replace(claimed, run=self._reader.chain(submission.name, claimed.run.number - 1).record())

    def _end(
        self,
        claimed: ClaimedRun,
        state: Any,
        attributes: Mapping[str, Any],
        values: list[float] | None = None,
    ) -> str:
        """Ends an attempt. Returns why that does not count: "" if it does."""
        with self._errors():
            try:
                for key, value in attributes.items():
                    self._storage.set_trial_user_attr(claimed.trial, key, value)
                is_ours = self._storage.set_trial_state_values(claimed.trial, state, values)
            except UpdateFinishedTrialError:
                is_ours = False
            except KeyError:
                return DELETED
            return "" if is_ours else TAKEN_OVER
