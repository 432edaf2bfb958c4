"""The queue: which row a person gets next.

In: rows, what people did with them, an order by the probe. Out: rows for a person, each leased. The clock is passed
in. What the answers come to, and what is shown with a row, is decided elsewhere.

Rows that were drawn at random from the held-out fifth are audited, in their order; rows that are not held out make up
the queue. Held-out rows that were chosen, not drawn, are not given: their answers would judge models by hard rows.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from sparklabel.reviewing.asking.leases import Leases
from sparklabel.reviewing.records import ReviewRow

LATER_AUDIT_SHARE = 0.1
"""The share of audit rows once there are enough judges."""
Wanted = Callable[[ReviewRow], bool]


class ReviewQueue:
    """The rows of one task that wait for answers.

    Args:
        rows: In the order of the table's side: those drawn at random first, in their random order.
        audit_share: The share of audit rows until `judges` inputs are audited.
        judges: Then it is 10%, if it was more.
        overlap: The share of audit rows that two people are asked, drawn by the input's hash.
        seed: Of that draw.
    """

    def __init__(
        self,
        rows: Iterable[ReviewRow],
        *,
        audit_share: float = 0.3,
        judges: int = 100,
        overlap: float = 0.1,
        seed: int = 0,
    ) -> None:
        self._share, self._judges, self._overlap, self._seed = audit_share, judges, overlap, seed
        self._rows = {row.input_hash: row for row in rows}
        # The keys of these dicts are ordered sets: rows leave them at any place, and the rest keeps its order.
        self._audit = {name: None for name, row in self._rows.items() if row.is_held_out and row.is_random}
        self._queue = {name: None for name, row in self._rows.items() if not row.is_held_out}
        self._is_audit = frozenset(self._audit)
        self._again: dict[str, dict[str, None]] = {}
        self._answered: dict[str, frozenset[str]] = {}
        self._done: dict[str, frozenset[str]] = {}
        self._done_by: dict[str, set[str]] = {}
        self._audited: set[str] = set()
        self._credit: dict[str, float] = {}
        self._leases = Leases()

    @property
    def audited(self) -> int:
        """How many inputs are audited."""
        return len(self._audited)

    @property
    def share(self) -> float:
        """The share of audit rows among the next ones."""
        return min(self._share, LATER_AUDIT_SHARE) if self.audited >= self._judges else self._share

    def waiting(self, reviewer: str) -> int:
        """How many rows there are for a person, those that others hold included."""
        done = self._done_by.get(reviewer, set())
        return len(self._audit) + len(self._queue) - sum(self._is_open(name) for name in done)

    def next(
        self,
        reviewer: str,
        count: int,
        have: Collection[str],
        now: float,
        wanted: Wanted | None = None,
        among: Iterable[str] | None = None,
    ) -> list[ReviewRow]:
        """Rows for a person, each leased for two minutes.

        Args:
            reviewer: Who.
            count: How many, at most.
            have: The rows that wait in the person's browser: their leases are renewed. Empty: the page has just been
                opened, and what the person has already may be given once more. It stays leased: another page of the
                same person may show it.
            now: Seconds of a clock that is never set back.
            wanted: A filter. Filtered rows are of the queue alone: an audit of chosen rows would not be one.
            among: The only rows to look at, also rows that are done by others.
        """
        self.renew(reviewer, have, now)
        again = self._free(self._again.get(reviewer, {}), reviewer, have, now)
        queue = self._free(
            self._queue if among is None else self._not_held_out(among), reviewer, have, now, wanted
        )
        if wanted or among is not None:
            lanes = [again, queue]
            return self._leased(reviewer, count, now, lambda: _first(lanes))
        audit = self._free(self._audit, reviewer, have, now)
        return self._leased(
            reviewer, count, now,
            lambda: _first([again, *((audit, queue) if self._is_audit_due(reviewer) else (queue, audit))]),
        )  # fmt: skip

    def renew(self, reviewer: str, have: Iterable[str], now: float) -> None:
        """Renews the leases of rows in the person's browser, but for those that ran out and that another one has."""
        for name in have:
            if name in self._rows and len(self._leases.holders(name, now) - {reviewer}) < self._wanted(name):
                self._leases.take(name, reviewer, now)

    def is_with_others(self, name: str, reviewer: str, now: float) -> bool:
        """Whether the row waits in another person's browser."""
        return bool(self._leases.holders(name, now) - {reviewer})

    def note(
        self,
        name: str,
        *,
        answered_by: Collection[str],
        passed_by: Collection[str],
        is_decided: bool = False,
        is_audit: bool = False,
    ) -> None:
        """What is known of a row now: whose answers stand, who skipped it, whether a lead decided. A row that is known
        to be done is not given again, also if it is loaded later."""
        done = frozenset((*answered_by, *passed_by))
        for reviewer in self._done.get(name, frozenset()) - done:
            self._done_by[reviewer].discard(name)
        for reviewer in done:
            self._done_by.setdefault(reviewer, set()).add(name)
            self._leases.drop(name, reviewer)
            self._again.get(reviewer, {}).pop(name, None)
        self._done[name], self._answered[name] = done, frozenset(answered_by)
        (self._audited.add if is_audit and answered_by else self._audited.discard)(name)
        if name in self._rows:
            self._open(name, not is_decided and len(set(answered_by)) < self._wanted(name))

    def give_again(self, row: ReviewRow, reviewer: str) -> None:
        """The person gets the row again, before any other: it changed in the table since the answer."""
        self._rows[row.input_hash] = row
        self._again.setdefault(reviewer, {})[row.input_hash] = None
        for known in (self._done, self._answered):
            known[row.input_hash] = known.get(row.input_hash, frozenset()) - {reviewer}
        self._done_by.get(reviewer, set()).discard(row.input_hash)

    def reorder(self, order: Sequence[str]) -> None:
        """Puts the queue's rows into this order; those that it does not name come behind, in the order they had."""
        first = {name: None for name in order if name in self._queue}
        self._queue = first | self._queue

    def _is_open(self, name: str) -> bool:
        return name in self._audit or name in self._queue

    def _open(self, name: str, is_open: bool) -> None:
        lane = self._audit if name in self._is_audit else self._queue
        if not is_open:
            lane.pop(name, None)
        elif name in self._is_audit or not self._rows[name].is_held_out:
            lane.setdefault(name)

    def _wanted(self, name: str) -> int:
        """How many people are asked."""
        return 2 if name in self._is_audit and asked_twice(name, self._overlap, self._seed) else 1

    def _not_held_out(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in self._rows and not self._rows[name].is_held_out]

    def _free(
        self,
        names: Iterable[str],
        reviewer: str,
        have: Collection[str],
        now: float,
        wanted: Wanted | None = None,
    ) -> Iterator[ReviewRow]:
        """The rows that the person may have. `names` must not change meanwhile."""
        has = frozenset(have)
        for name in names:
            if name in has or reviewer in self._done.get(name, frozenset()):
                continue
            holders, answered = self._leases.holders(name, now), self._answered.get(name, frozenset())
            # One more person may look at a row that has all its answers: at a disputed one, for example.
            missing = max(self._wanted(name) - len(answered), 1)
            if has and reviewer in holders:
                continue
            if len(holders - answered - {reviewer}) >= missing:
                continue
            if wanted is None or wanted(self._rows[name]):
                yield self._rows[name]

    def _is_audit_due(self, reviewer: str) -> bool:
        credit = self._credit.get(reviewer, 0.5) + self.share
        self._credit[reviewer] = credit - (credit >= 1)
        return credit >= 1

    def _leased(
        self, reviewer: str, count: int, now: float, draw: Callable[[], ReviewRow | None]
    ) -> list[ReviewRow]:
        found: dict[str, ReviewRow] = {}
        while len(found) < count and (row := draw()):
            self._leases.take(row.input_hash, reviewer, now)
            found.setdefault(row.input_hash, row)
        return list(found.values())


def _first(lanes: Iterable[Iterator[ReviewRow]]) -> ReviewRow | None:
    """The next row of the first lane that has one."""
    return next((row for lane in lanes for row in lane), None)


def asked_twice(name: str, overlap: float, seed: int = 0) -> bool:
    """Whether two people are asked an audit row, by a fixed hash of its input's."""
    digest = hashlib.sha256(f"sparklabel overlap v1:{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8]) < overlap * 2**64
