"""The queue as a worker has it: claims, signs of life, and what came of a run.

In: a worker's name, what it has room for. Out: runs that are its own until it says what came of them, or is silent for
too long.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from sparklabel.redaction import typed_line
from sparklabel.training.runs.chains import Mark, RunChain, is_ready
from sparklabel.training.runs.drawing import draw
from sparklabel.training.runs.queue import RunQueue
from sparklabel.training.runs.records import CANCELED, RunKind, RunState, best_of
from sparklabel.training.runs.search import Tpe, search_from_dict
from sparklabel.training.runs.submission import ClaimedRun, Submission

TAKEN_OVER = "it was silent for too long, and another worker has taken it over"
_PAUSE_SECONDS, _LONGEST_PAUSE = 30.0, 900.0
"""Before an attempt that follows an error; doubled each time. What ends one at once would end all of them at once."""


class WorkerQueue(RunQueue):
    """The queue, for a worker."""

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
            for name in self._reader.by_urgency():
                chains = self._revive(name)
                for chain in chains:
                    if chain.state != RunState.WAITING or not is_ready(chain, chains):
                        continue
                    if chain.pause_ends > time.time():
                        continue
                    if (has_room := fits(chain.submission)) is None:
                        return None
                    if not has_room:
                        break
                    if claimed := self._claimed(chain, worker):
                        return claimed
        return None

    def beat(self, claimed: ClaimedRun, step: int, steps: int) -> str:
        """A sign that the worker lives, and how far the run is. Returns why the run must end: "" if it must not."""
        with self._errors():
            try:
                self._storage.record_heartbeat(claimed.trial)
                self._storage.set_trial_user_attr(claimed.trial, Mark.SIGN, [step, steps])
            except UpdateFinishedTrialError:
                return TAKEN_OVER
            except KeyError:
                return "its submission was deleted"
            return CANCELED if self._reader.is_canceled(claimed) else ""

    def complete(self, claimed: ClaimedRun, accuracy: float | None) -> bool:
        """Notes a result. False if the run was taken from this worker meanwhile: then it does not count."""
        # Optuna's samplers compare values, also of runs that no sampler has drawn: each has one.
        return self._end(claimed, TrialState.COMPLETE, {Mark.ACCURACY: accuracy}, [accuracy or 0.0])

    def fail(self, claimed: ClaimedRun, reason: str, *, retry: bool, counts: bool = True) -> bool:
        """Notes a failure; `retry` if another attempt may succeed, after a pause, which `counts` against the most that
        are made. False if the run was taken from this worker meanwhile."""
        attributes: dict[str, Any] = {Mark.REASON: reason}
        if not retry:
            attributes[Mark.NOT_RETRIED] = True
        elif counts:
            pause = min(_PAUSE_SECONDS * 2 ** (claimed.run.attempts - 1), _LONGEST_PAUSE)
            attributes[Mark.PAUSE_ENDS] = time.time() + pause
        if not counts:
            attributes[Mark.NOT_COUNTED] = True
        return self._end(claimed, TrialState.FAIL, attributes)

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
    ) -> bool:
        with self._errors():
            try:
                for key, value in attributes.items():
                    self._storage.set_trial_user_attr(claimed.trial, key, value)
                return self._storage.set_trial_state_values(claimed.trial, state, values)
            except (UpdateFinishedTrialError, KeyError):  # another worker has it; or it was deleted
                return False
