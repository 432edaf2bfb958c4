"""Names that people misspell: the error that says which name was probably meant. And numbers and flags that are not.

In: the names that a function, an engine or a file knows, and those that were given. Out: an error, or the words that
another error appends. Of values it looks at numbers and flags only.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TypeGuard

from sparklabel.errors import SetupError, SparklabelError


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggests the known name that is nearest to a misspelled one.

    Args:
        name: What was written.
        known: The names that would have been right.

    Returns:
        `"; did you mean max_rows?"`, or an empty string if no name is close.

    Example:
        >>> did_you_mean("mx_rows", ["max_rows", "where"])
        '; did you mean max_rows?'
    """
    by_lower_case = {one.lower(): one for one in known}
    nearest = get_close_matches(name.lower(), by_lower_case, n=1)
    return f"; did you mean {by_lower_case[nearest[0]]}?" if nearest else ""


def unknown_name(subject: str, what: str, name: str, known: Iterable[str]) -> SetupError:
    """The error for a name that `subject` does not have.

    Args:
        subject: What was called, as the sentence begins: `"label_table"`, `"The vllm engine"`.
        what: What the name was taken for: `"argument"`, `"option"`.
        name: The unknown name.
        known: The names that `subject` has.

    Returns:
        An error such as "label_table has no argument 'mx_rows'; did you mean max_rows?", whose hint lists the known
        names. The caller raises it.
    """
    names = list(known)
    guess = did_you_mean(name, names)
    return SetupError(
        f"{subject} has no {what} {name!r}{guess or '.'}", hint=f"It takes: {', '.join(names)}."
    )


def check_arguments(function: str, known: Iterable[str], given: Iterable[str]) -> None:
    """Refuses keyword arguments that a function does not have.

    Args:
        function: The function's name, as its caller wrote it.
        known: Every keyword that it takes, those that it passes on included.
        given: The keywords of this call.

    Raises:
        SetupError: An argument is not known. The message names the nearest one.
    """
    names = list(known)
    if unknown := sorted(set(given) - set(names)):
        raise unknown_name(function, "argument", unknown[0], names)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number. True and False are not, though Python counts with them."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_flags(error: type[SparklabelError], /, **flags: object) -> None:
    """Raises `error` for a flag that is neither True nor False: a text such as "no" would be taken for True."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise error(f"{name}={value!r} is neither True nor False.")
