"""Rows of a DataFrame on the terminal, for the commands that list them."""

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from sparklabel.redaction import printable_lines


def show(rows: Any, number: int, *, truncate: bool | int = False, vertical: bool = False) -> None:
    """Prints them as `DataFrame.show` does, with control characters escaped: Spark passes on those of a text, a key or
    an error, and a terminal would obey them."""
    with redirect_stdout(StringIO()) as shown:
        rows.show(number, truncate=truncate, vertical=vertical)
    print(printable_lines(shown.getvalue()), end="")
