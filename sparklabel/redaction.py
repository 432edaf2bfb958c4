"""What a message may quote from elsewhere: an error's first line, a URI without its credentials, and any text without
what a terminal would obey.

In: an error of any library, a URI, a text. Out: text. Nothing is logged or raised here. Our errors, our reports, and
what is told and shown pass through `printable_lines`.
"""

import re

_LEFT_OUT = " [...] "
_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
"""And halves of characters, as a server's JSON may have them, which nothing can write."""


def printable(text: object) -> str:
    """The text with its control characters escaped: a terminal would obey those of a row or of a server's reply."""
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], str(text))


def printable_lines(text: object) -> str:
    """`printable` for texts of several lines, whose ends stay."""
    return "\n".join(map(printable, str(text).split("\n")))


def first_line(error: object, longest: int = 500) -> str:
    """The first line of an error's text, at most `longest` characters; the error's class where it has no text."""
    text = str(error).strip() or type(error).__name__
    return shortened(printable(text.splitlines()[0]), longest)


def shortened(text: str, longest: int) -> str:
    """The text, its middle left out if it is longer: a cause often stands at the end, behind paths of any length."""
    if len(text) <= longest:
        return text
    end = (longest - len(_LEFT_OUT)) // 2
    return text[: longest - len(_LEFT_OUT) - end] + _LEFT_OUT + text[-end:]


def typed_line(error: Exception) -> str:
    """The error's class, and the first line of its text if it has one."""
    return f"{type(error).__name__}: {first_line(error)}" if str(error).strip() else type(error).__name__


def without_credentials(uri: str) -> str:
    """The URI without user, password and query: `http://me:secret@host/x?token=t` gives `http://host/x`.

    An "@" of the path may take more with it than the credentials: a password must not be shown, whatever is in it.
    """
    scheme, mark, rest = uri.partition("://")
    if not rest.startswith("/"):  # the path of a file, or of SQLite, has no credentials before it
        rest = rest.rpartition("@")[2]
    return f"{scheme}{mark}{rest}".partition("?")[0]
