"""What people did with the rows of one task: the journal's events in memory, and what they come to.

In: events with their numbers, in any order of arrival. Out: resolutions, counts, a person's own answers. Nothing is
written, and no row's text is known.
"""

from bisect import insort
from collections.abc import Iterator

from sparklabel.reviewing.records import ANSWER, AUDIT, FLAG, RESOLVE, SKIP, Event, Resolution
from sparklabel.reviewing.resolve import resolve

_NOTHING = Resolution()


class TaskHistory:
    """The events of a task, by input and by person."""

    def __init__(self) -> None:
        self._by_input: dict[str, list[Event]] = {}
        self._resolutions: dict[str, Resolution] = {}
        self._authors: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._by_person: dict[str, dict[str, Event]] = {}
        self.flagged: dict[str, None] = {}
        self.disputed: dict[str, None] = {}
        self.answered = 0
        self.last_seq = 0

    @property
    def people(self) -> list[str]:
        """Who did anything."""
        return list(self._by_person)

    def author(self, event_id: str) -> str | None:
        """Whose event it is; None if it is not known."""
        return self._authors.get(event_id)

    def events(self, name: str) -> list[Event]:
        """The events of an input, in order."""
        return self._by_input.get(name, [])

    def inputs(self) -> Iterator[str]:
        """All inputs that have an event."""
        return iter(self._by_input)

    def last_seq_of(self, name: str) -> int:
        """The number of the newest event of an input; 0 without one."""
        events = self.events(name)
        return events[-1].seq if events else 0

    def resolution(self, name: str) -> Resolution:
        """What the answers to an input come to."""
        return self._resolutions.get(name, _NOTHING)

    def add(self, event: Event) -> bool:
        """Takes an event that is on disk. Returns whether it is new."""
        if event.event_id in self._authors:
            return False
        self._authors[event.event_id] = event.reviewer
        events = self._by_input.setdefault(event.input_hash, [])
        insort(
            events, event, key=lambda one: one.seq
        )  # two requests may have overtaken each other on the way back
        self._count(event.input_hash, resolve(events))
        self.last_seq = max(self.last_seq, event.seq)
        self._flag(event)
        own = self._by_person.setdefault(event.reviewer, {})
        if event.kind != FLAG:
            own.pop(event.input_hash, None)
            own[event.input_hash] = event
        return True

    def standing(self, reviewer: str) -> int:
        """How many inputs have this person's answer."""
        return self._counts.get(reviewer, 0)

    def skipped_by(self, name: str) -> set[str]:
        """Whose last word about an input is that they skip it."""
        last = {event.reviewer: event.kind for event in self.events(name) if event.kind != FLAG}
        return {reviewer for reviewer, kind in last.items() if kind == SKIP}

    def can_undo(self, name: str, reviewer: str) -> bool:
        """Whether the person has something to take back."""
        stands = resolve(event for event in self.events(name) if event.reviewer == reviewer)
        return bool(stands.votes) or stands.by_lead or reviewer in self.skipped_by(name)

    def reason(self, name: str) -> str | None:
        """Why the input was first shown; None if nobody did anything with it."""
        events = self.events(name)
        return events[0].reason if events else None

    def is_audited(self, name: str) -> bool:
        """Whether the input was shown as an audit."""
        return self.reason(name) == AUDIT

    def mine(self, reviewer: str, count: int, before: int | None = None) -> list[Event]:
        """The person's last answers and skips that stand, newest first; of several to one input the last one."""
        found: list[Event] = []
        for event in reversed(self._by_person.get(reviewer, {}).values()):
            if event.kind in (ANSWER, SKIP, RESOLVE) and (before is None or event.seq < before):
                found.append(event)
                if len(found) == count:
                    break
        return found

    def decider(self, name: str) -> str | None:
        """The lead whose decision stands; None without one."""
        found = self.resolution(name)
        return found.reviewer if found.by_lead else None

    def _count(self, name: str, now: Resolution) -> None:
        """Keeps the counts, by what changed of an input."""
        before = self.resolution(name)
        self._resolutions[name] = now
        for reviewer in before.votes.keys() ^ now.votes.keys():
            step = 1 if reviewer in now.votes else -1
            self._counts[reviewer] = self.standing(reviewer) + step
        self.answered += _has_answer(now) - _has_answer(before)
        if now.is_disputed:
            self.disputed.setdefault(name)
        else:
            self.disputed.pop(name, None)

    def _flag(self, event: Event) -> None:
        if event.kind == FLAG:
            self.flagged[event.input_hash] = None
        elif event.kind == RESOLVE:
            self.flagged.pop(event.input_hash, None)


def _has_answer(resolution: Resolution) -> bool:
    return resolution.is_answered or resolution.is_disputed
