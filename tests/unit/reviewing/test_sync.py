"""Answers on their way into the table: while people answer, labels are merged, and no more is called merged."""

import asyncio
from concurrent.futures import Future

from sparklabel.reviewing.records import ANSWER, Event
from sparklabel.reviewing.table.memory_table import MergedInMemory
from sparklabel.reviewing.table.sync import TableSync


def event(seq, row):
    return Event(
        event_id=str(seq), task="t", key="{}", input_hash=row, kind=ANSWER, value="a", reviewer="ann", seq=seq
    )  # fmt: skip


class BusyTable:
    """A table during whose appends somebody answers: one event each, `answers` of them."""

    def __init__(self, answers):
        self.answers, self.done = list(answers), []
        self.sync = None

    def append(self, task, events):
        self.done.append(("append", [one.seq for one in events]))
        if self.answers:
            self.sync.note([self.answers.pop(0)])
        return self._now(events[-1].seq)

    def merge(self, task, hashes):
        self.done.append(("merge", list(hashes)))
        return self._now(MergedInMemory(written=len(hashes)))

    def _now(self, value):
        found = Future()
        found.set_result(value)
        return found


def synced(table, merged):
    async def note(task, seq, names, refused):
        merged.append(seq)

    table.sync = TableSync("t", table, 60.0, lambda moved, current: None, note, lambda: 0.0)
    return table.sync


def test_an_append_during_which_people_answer_comes_to_an_end_and_labels_are_merged():
    table, merged = BusyTable([event(2, "y"), event(3, "x"), event(4, "z")]), []
    sync = synced(table, merged)
    sync.note([event(1, "x")])
    asyncio.run(sync.flush())
    assert table.done == [("append", [1]), ("merge", ["x"])]
    assert (merged, sync.waiting) == ([1], 1)


def test_an_input_that_was_answered_again_meanwhile_is_merged_with_its_newest_answer():
    table, merged = BusyTable([event(2, "x")]), []
    sync = synced(table, merged)
    sync.note([event(1, "x")])
    asyncio.run(sync.flush())
    assert table.done == [("append", [1])]
    asyncio.run(sync.flush())
    assert table.done[1:] == [("append", [2]), ("merge", ["x"])]
    assert (merged, sync.unmerged) == ([2], 0)
