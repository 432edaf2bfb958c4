"""What the answers to an input come to. This is the only place that decides it.

In: the events of one input, in the journal's order. Out: a `Resolution`. Times do not matter: clocks are set back.
"""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sparklabel.reviewing.records import ANSWER, RESOLVE, SKIP, UNDO, Event, Resolution


def resolve(events: Iterable[Event]) -> Resolution:
    """Each reviewer's last word counts: one is the answer, of several the most frequent one. If two are equally
    frequent, people dispute it. A lead's decision beats all, until the lead takes it back."""
    words, decisions = standing(events)
    votes = {reviewer: event.value for reviewer, event in words.items()}
    if decisions:
        return _answered(list(decisions.values())[-1], votes, by_lead=True)
    frequent = Counter(canonical(value) for value in votes.values()).most_common(2)
    if not frequent:
        return Resolution()
    if len(frequent) == 2 and frequent[0][1] == frequent[1][1]:
        return Resolution(is_disputed=True, votes=votes)
    winner = [event for event in words.values() if canonical(event.value) == frequent[0][0]][-1]
    return _answered(winner, votes)


def standing(events: Iterable[Event]) -> tuple[dict[str, Event], dict[str, Event]]:
    """Each reviewer's answer and decision that stand, by reviewer, the latest one last."""
    words: dict[str, Event] = {}
    decisions: dict[str, Event] = {}
    for event in events:
        if event.kind == ANSWER:
            words.pop(event.reviewer, None)  # so that the last one is at the end
            words[event.reviewer] = event
        elif event.kind == RESOLVE:
            decisions.pop(event.reviewer, None)
            decisions[event.reviewer] = event
        elif event.kind == SKIP:  # who skips a row that they had answered takes the answer back
            words.pop(event.reviewer, None)
        elif event.kind == UNDO:
            # A decision is taken back first: it is the later one of a lead who answered, too.
            taken_from = decisions if event.reviewer in decisions else words
            taken_from.pop(event.reviewer, None)
    return words, decisions


def by_input(events: Iterable[Event]) -> dict[str, list[Event]]:
    """The events of each input, by its hash."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.input_hash, []).append(event)
    return found


def canonical(value: Any) -> str:
    """Equal for equal values: JSON with sorted names."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _answered(event: Event, votes: dict[str, Any], *, by_lead: bool = False) -> Resolution:
    return Resolution(
        is_answered=True, value=event.value, reviewer=event.reviewer, answered_at=event.answered_at,
        reason=event.reason, votes=votes, by_lead=by_lead,
    )  # fmt: skip
