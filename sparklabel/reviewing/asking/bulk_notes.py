"""How events of one bulk are told from others: by their note.

In: a bulk's ID, or an event. Out: the note of the bulk's events, or the ID.
"""

import re

from sparklabel.reviewing.records import ANSWER, Event

_NOTE = re.compile(r"bulk ([0-9a-f]{12})")


def bulk_note(bulk: str) -> str:
    """The note of the bulk's answers. `bulk` is an ID: 12 hexadecimal digits."""
    return f"bulk {bulk}"


def bulk_of_note(note: str | None) -> str | None:
    """The ID of the bulk that a note names; None for people's own notes."""
    found = _NOTE.fullmatch(note or "")
    return found[1] if found else None


def bulk_of(event: Event) -> str | None:
    """The ID of the bulk that the answer was given in; None if it was given to its row alone."""
    return bulk_of_note(event.note) if event.kind == ANSWER else None
