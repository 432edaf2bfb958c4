"""What texts have in common, and whether they hold anything.

In: texts of any length and any characters. Out: facts, in time that is linear in the text. No language is known here.
"""

import re
import sys
import unicodedata
from functools import cache
from typing import Any

_MAX_MARKS = 30
"""Combining marks that follow each other, in the Stream-Safe Text Format of Unicode (UAX #15, section 13)."""
_INVISIBLE_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols that are drawn as a blank: the Hangul fillers and the empty braille pattern."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things, such as "1 row" or "2,000 rows". `plural` is that of a noun that takes no s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or f'{noun}s'}"


def well_formed(value: Any) -> Any:
    """The value with each half of a character (a lone surrogate, which UTF-8 cannot write) in its texts replaced by
    U+FFFD. A half that another follows is made whole."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {well_formed(key): well_formed(one) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(well_formed, value))
    return [well_formed(one) for one in value] if isinstance(value, list | tuple) else value


def is_blank(text: str | None) -> bool:
    """Whether nothing of it can be seen: whitespace, control and format characters, fillers."""
    return not text or all(
        c.isspace() or c in _INVISIBLE_LETTERS or unicodedata.category(c) in ("Cc", "Cf") for c in text
    )


def composed(text: str) -> str:
    """The text in Unicode's form NFC, for comparing: an accented letter that is one character, and one that is a letter
    and a mark, are the same."""
    return unicodedata.normalize("NFC", _stream_safe(text))


def normalized(text: str) -> str:
    """The text without differences in case, whitespace or compatibility characters."""
    compatible = unicodedata.normalize("NFKC", _stream_safe(text))
    folded = compatible.casefold()
    if folded != compatible:  # case folding can undo NFKC
        folded = unicodedata.normalize("NFKC", folded)
    return " ".join(folded.split())


def _stream_safe(text: str) -> str:
    """The text with a joiner after each 30 combining marks in a row. Normalization sorts a run of marks in quadratic
    time, holding the interpreter's lock: a row of 1 MB of them would take hours."""
    return text if text.isascii() else _long_runs_of_marks().sub("\\g<0>\u034f", text)


@cache
def _long_runs_of_marks() -> re.Pattern[str]:
    marks = "".join(c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.combining(c))
    # These decompose into marks, and are none themselves.
    marks += "\u0f73\u0f75\u0f81\uff9e\uff9f"
    return re.compile(f"[{marks}]{{{_MAX_MARKS}}}(?=[{marks}])")
