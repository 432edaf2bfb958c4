"""What a review is made of: rows to answer, what people are shown, what they do. Frozen, and plain enough for JSON.

In: rows of a table, requests of a browser. Out: the records that the journal keeps and the answers table holds. It
imports nothing of ours.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

ANSWER, SKIP, FLAG, UNDO, RESOLVE = EVENT_KINDS = ("answer", "skip", "flag", "undo", "resolve")
AUDIT, QUEUE = REASONS = ("audit", "queue")
MODEL, PROBE, NOBODY = SUGGESTED_BY = ("model", "probe", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLabel:
    """What the table holds of a row when it is loaded.

    Attributes:
        value: The column of the values; None without one.
        model_value: What the model said: the record's value, or its best guess if that was withheld.
        confidence: The record's.
        alternatives: Values and probabilities, most probable first; empty for generated kinds.
        status: The record's; None if no pass answered the row.
        model: The identity of the model that answered.
        source, reviewer, reviewed_at: Who answered, "human" or "model", and when, as ISO 8601 in UTC.
    """

    value: Any = None
    model_value: Any = None
    confidence: float | None = None
    alternatives: tuple[tuple[Any, float], ...] = ()
    status: str | None = None
    model: str | None = None
    source: str | None = None
    reviewer: str | None = None
    reviewed_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRow:
    """A distinct input of the table, which is asked once: its answer is for all rows that have it.

    Attributes:
        input_hash: Identifies it, also in the browser.
        key: The key of one of its rows, as a JSON object by column.
        inputs: The texts, in the task's order.
        copies: How many rows of those that were loaded have it.
        is_held_out: Whether its answer judges models (`sparklabel.splits.is_held_out`). Such rows are audited: drawn at
            random, and shown without a suggestion.
        is_random: Whether it was drawn at random from the table, not chosen as uncertain.
        label: What the table holds.
    """

    input_hash: str
    key: str
    inputs: tuple[str | None, ...]
    copies: int = 1
    is_held_out: bool = False
    is_random: bool = True
    label: RowLabel = RowLabel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The suggestion that a person saw with the row, and by whom; of a blind row neither."""

    value: Any = None
    confidence: float | None = None
    by: str = NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """Whose answer the row had when it was shown; without one all are None."""

    value: Any = None
    reviewer: str | None = None
    reviewed_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a person did with a row. Events are only appended: an undo is one, too.

    Attributes:
        event_id: Made in the browser, so that a repeated request is one event.
        task: The task's name.
        key, input_hash: The row's.
        kind: One of `EVENT_KINDS`. `undo` takes back the reviewer's own last answer to the row, `resolve` is a lead's
            decision, which beats all answers.
        value: The answer, as JSON has a value of the task. None for other kinds, and where None is the answer.
        reviewer: Who.
        reason: Why the row was shown: one of `REASONS`.
        shown, before: What the person saw.
        seconds: From the row's appearance to the key.
        note: In the person's words.
        task_fingerprint: Of the task that was answered.
        model: The identity of the model whose label the row had.
        answered_at: When the server got it, ISO 8601 in UTC with microseconds.
        seq: Its number in the journal, from 1; 0 until it is there.
    """

    event_id: str
    task: str
    key: str
    input_hash: str
    kind: str
    value: Any = None
    reviewer: str
    reason: str = QUEUE
    shown: Shown = Shown()
    before: Before = Before()
    seconds: float | None = None
    note: str | None = None
    task_fingerprint: str = ""
    model: str | None = None
    answered_at: str = ""
    seq: int = 0

    def taken_back(self, note: str, at: str) -> "Event":
        """A new event that takes this one back, in its reviewer's name. `at`: when, as `answered_at` has it."""
        return replace(
            self, event_id=uuid.uuid4().hex, kind=UNDO, value=None, shown=Shown(), before=Before(), seconds=None,
            note=note, answered_at=at, seq=0,
        )  # fmt: skip

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Event":
        """What `dataclasses.asdict` gave."""
        return cls(**dict(found) | {"shown": Shown(**found["shown"]), "before": Before(**found["before"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What the answers to one input come to.

    Attributes:
        is_answered: Whether `value` is an answer: there is one word, a majority, or a lead's decision.
        is_disputed: Whether people are evenly divided, and nobody has decided.
        value: The answer.
        reviewer: Who gave it: of several the last one.
        answered_at: When that was.
        reason: Why that person was shown the row.
        votes: Each reviewer's last word.
        by_lead: Whether it is a lead's decision.
    """

    is_answered: bool = False
    is_disputed: bool = False
    value: Any = None
    reviewer: str | None = None
    answered_at: str | None = None
    reason: str | None = None
    votes: Mapping[str, Any] = field(default_factory=dict)
    by_lead: bool = False
