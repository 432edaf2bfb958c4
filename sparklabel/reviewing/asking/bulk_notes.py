"""How events of one bulk are told from others: by their note.

In: a bulk's ID, or an event. Out: the note of the bulk's events, or the ID.
"""

import re

from sparklabel.reviewing.records import ANSWER, Event

_NOTE = re.compile(r"bulk ([0-9a-f]{12})")


def bulk_note(bulk: str) -> str:
    """The note of the bulk's answers. `bulk` is an ID: 12 hexadecimal digits."""
    return f"bulk {bulk}"


def bulk_of(event: Event) -> str | None:
    """The ID of the bulk that the answer was given in; None if it was given to its row alone."""
    found = _NOTE.fullmatch(event.note or "") if event.kind == ANSWER else None
    return found[1] if found else None
