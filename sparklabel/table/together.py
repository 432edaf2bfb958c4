"""Passes of one call, one for each task, in the order that keeps what they find and what they compute.

In: passes over one table, their plans. Out: a report each, and the table with their columns written. The protocol: add
columns; stamp corrections; take the leases; answer the distinct pending inputs of a pinned version in chunks, each
appended to staging; MERGE from staging, now and then and at the end, all tasks in one and without a model in it,
guarded so that no human answer, no later pass's answer and no changed input gets a stale one; clear staging.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from sparklabel.table.brakes import DRIFT
from sparklabel.table.chunks import Work
from sparklabel.table.commits import counted_conflicts
from sparklabel.table.history import ANSWERS
from sparklabel.table.merge import merge_rows
from sparklabel.table.mishaps import mishaps_named
from sparklabel.table.plan import Plan
from sparklabel.table.report import PassReport
from sparklabel.table.reporting import pass_report
from sparklabel.table.running import Pass

_MERGE_SECONDS, _MERGE_SHARE = 300.0, 10.0
"""A MERGE can rewrite the whole table: what it takes shall stay a tenth of the pass."""


def run_passes(passes: Sequence[Pass], plans: Sequence[Plan], progress: bool) -> list[PassReport]:
    """Runs them, one task after the other. What ends one early ends those behind it too, unless it is a drift."""
    planned = dict(zip(passes, plans, strict=True))
    busy = [one for one in passes if planned[one].pending]
    with mishaps_named(passes), counted_conflicts() as conflicts, ExitStack() as stack:
        for one in busy:
            one.prepare()
        for one in passes:
            one.make_room()
            if planned[one].unstamped:
                one.stamp_corrections()
        # In one order everywhere: of two calls that want the same leases, the first has them all.
        for one in sorted(busy, key=lambda one: one.opened.owned.label):
            one.hold(stack)
        merging = _Merging(busy)
        stopped = ""
        for one in busy:
            one.answer(planned[one], progress, merging.when_due)
            if (stopped := one.work.stopped) not in ("", DRIFT):
                break
        merging.now()
        for one in busy:
            if one.is_settled:
                one.settle()
        reports = [
            pass_report(
                one, planned[one], conflicts=conflicts.number, stopped="" if one.begun or one not in busy else stopped
            )
            for one in passes
        ]  # fmt: skip
        for one, report in zip(passes, reports, strict=True):
            if one in busy:
                one.diary.end(report.figures())
    return reports


class _Merging:
    """What passes have staged goes into the table together, when it is worth its while."""

    def __init__(self, passes: Sequence[Pass]) -> None:
        self._passes = passes
        self._next = time.monotonic() + _MERGE_SECONDS

    def when_due(self, work: Work) -> str:
        """After a chunk; never a reason to stop."""
        if time.monotonic() >= self._next:
            self.now()
        return ""

    def now(self) -> None:
        started = time.monotonic()
        changes = {one: change for one in self._passes if (change := one.change())}
        if changes:
            first = next(iter(changes)).opened
            facts = [
                one.facts(ANSWERS)
                | {"inputs_per_second": one.work.rate, "prompt_tokens": one.work.prompt_tokens}
                for one in changes
            ]
            metadata = facts[0] if len(facts) == 1 else {"passes": facts}
            merge_rows(first.target, first.keys, [*changes.values()], metadata, insert=first.apart)
            for one in changes:
                one.merged = one.work.chunks
        now = time.monotonic()
        self._next = now + max(_MERGE_SECONDS, _MERGE_SHARE * (now - started))
