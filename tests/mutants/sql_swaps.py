"""Small changes to the meaning of SQL that stands in Python strings: the predicates and guards are such text.

In: the text of a string. Out: variants of it, each with one change that Spark still parses.
A text without SQL has none.
"""

import re
from collections.abc import Iterator

_SWAPS = (
    (r"\bAND\b", ("OR",)),
    (r"\bOR\b", ("AND",)),
    (r"(?<!IS )\bNOT (?!MATCHED|IN\b|NULL)", ("",)),
    (r"\bIS NULL\b", ("IS NOT NULL",)),
    (r"\bIS NOT NULL\b", ("IS NULL",)),
    (r"(?<!NOT )\bIN \(", ("NOT IN (",)),
    (r" <=> ", (" = ", " <> ")),
    (r" = ", (" <> ",)),
    (r" <> ", (" = ",)),
    (r" < ", (" <= ", " >= ")),
    (r" >= ", (" > ", " < ")),
    (r"\b(?:lower|trim)\(", ("(",)),
    (r"(?<=, )false\)", ("true)",)),
    (r"(?<=, )0\)", ("1)",)),
    (r"\bmax\(", ("min(",)),
)
"""Pattern and what may stand in its place. `<=>` is true or false of NULL, where `=` is neither. The other way round a
condition mostly means the same."""


def sql_variants(text: str) -> Iterator[str]:
    """The variants of a text, each with one change."""
    for pattern, others in _SWAPS:
        for found in re.finditer(pattern, text):
            for other in others:
                yield text[: found.start()] + other + text[found.end() :]
