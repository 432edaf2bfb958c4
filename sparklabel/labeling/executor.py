"""Passes of one call, one for each task, in the order that keeps what they find and what they compute.

In: passes over one table, their plans. Out: a report each, and the table with their columns written. The protocol: add
columns; stamp corrections; take the leases; answer the distinct pending inputs of a pinned version in chunks, each
appended to staging; MERGE from staging, now and then and at the end, all tasks in one and without a model in it,
guarded so that no human answer, no later pass's answer and no changed input gets a stale one; clear staging.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress

from sparklabel.delta.commits import WRITE_ERRORS, count_conflicts
from sparklabel.errors import ConflictError
from sparklabel.labeling.build_report import pass_report
from sparklabel.labeling.error_translation import failures_diagnosed
from sparklabel.labeling.labeling_pass import Pass
from sparklabel.labeling.options import INTERRUPTED, MAX_ERROR_RATIO, MAX_SECONDS, NOT_BEGUN
from sparklabel.labeling.plan import Plan
from sparklabel.labeling.report import PassReport
from sparklabel.table.history import ANSWERS
from sparklabel.table.merge import merge_rows

_MERGE_SECONDS, _MERGE_SHARE = 300.0, 10.0
"""A MERGE can rewrite the whole table: what it takes shall stay a tenth of the pass."""


def run_passes(passes: Sequence[Pass], plans: Sequence[Plan], progress: bool) -> list[PassReport]:
    """Runs them, one task after the other, and writes what was answered also where one of them raises."""
    planned = dict(zip(passes, plans, strict=True))
    busy = [one for one in passes if planned[one].pending]
    with failures_diagnosed(passes), count_conflicts() as conflicts, ExitStack() as stack:
        for one in busy:
            one.prepare()
        for one in passes:
            one.make_room()
            if planned[one].unattributed:
                one.stamp_corrections(planned[one].unattributed)
        # In one order everywhere: of two calls that want the same leases, the first has them all.
        for one in sorted(busy, key=lambda one: one.opened.label_columns.label):
            one.hold(stack, planned[one])
        answering = _Answering(busy, planned, progress)
        try:
            answering.run()
        except Exception:
            with suppress(*WRITE_ERRORS):  # what was raised first is what is told
                answering.settle()
            raise
        answering.settle()
        own = {one: answering.seconds(one, len(passes)) for one in passes}
        reports = [
            pass_report(
                one,
                planned[one],
                seconds=own[one],
                conflicts=conflicts.number,
                stopped=answering.stopped.get(one, ""),
            )
            for one in passes
        ]
        for one, report in zip(passes, reports, strict=True):
            if one in busy:
                one.tracker.end(report.figures())
    return reports


class _Answering:
    """Passes answered in turn. `stopped`: why one was not begun."""

    def __init__(self, busy: Sequence[Pass], plans: Mapping[Pass, Plan], progress: bool) -> None:
        self._busy, self._plans, self._progress = busy, plans, progress
        self._merging, self._took = _Merging(busy), dict[Pass, float]()
        self.stopped: dict[Pass, str] = {}

    def run(self) -> None:
        """Time that is over and Ctrl-C end all that is left; an engine that fails ends what has the same model."""
        ended, failing = "", set[str]()
        for one in self._busy:
            if ended or one.model in failing:
                self.stopped[one] = ended if ended == INTERRUPTED else NOT_BEGUN
                continue
            started = time.monotonic()
            try:
                one.answer(self._plans[one], self._progress, self._merging.when_due)
            except BaseException:
                one.has_begun = False  # what it staged waits for the next call
                raise
            self._took[one] = time.monotonic() - started
            if one.stats.stopped == MAX_ERROR_RATIO:
                failing.add(one.model)
            ended = one.stats.stopped if one.stats.stopped in (INTERRUPTED, MAX_SECONDS) else ""

    def settle(self) -> None:
        """What was answered is in the table, and no longer in staging."""
        self._merging.now()
        for one in self._busy:
            if one.is_settled:
                one.settle()

    def seconds(self, one: Pass, number: int) -> float:
        """What a pass took: its own answering, and its part of what the passes share."""
        shared = one.seconds - sum(self._took.values())
        return self._took.get(one, 0.0) + shared / number


class _Merging:
    """What passes have staged goes into the table together, when it is worth its while."""

    def __init__(self, passes: Sequence[Pass]) -> None:
        self._passes = passes
        self._next = time.monotonic() + _MERGE_SECONDS

    def when_due(self) -> None:
        """After a chunk. Where other writers win each time, a later one may do."""
        if time.monotonic() >= self._next:
            with suppress(ConflictError):
                self.now()
            self._next = max(self._next, time.monotonic() + _MERGE_SECONDS)

    def now(self) -> None:
        started = time.monotonic()
        changes = {one: change for one in self._passes if (change := one.change())}
        if changes:
            first = next(iter(changes)).opened
            facts = [
                one.facts(ANSWERS)
                | {"inputs_per_second": one.stats.rate, "prompt_tokens": one.stats.prompt_tokens}
                for one in changes
            ]
            metadata = facts[0] if len(facts) == 1 else {"passes": facts}
            merge_rows(
                first.target, first.keys, [*changes.values()], metadata, insert=first.has_separate_labels
            )
            for one in changes:
                one.merged = one.stats.chunks
        now = time.monotonic()
        self._next = now + max(_MERGE_SECONDS, _MERGE_SHARE * (now - started))
