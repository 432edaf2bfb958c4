"""Where the quotes of a model are in the text that it read.

In: quotes in the model's order, and the row's text. Out: a span for each, in characters (Unicode code points, as
Python's slices); None for a quote that the row does not contain. Nothing is invented: a span is always text of the row.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, islice

Span = tuple[int, int]
"""[start, end) in characters."""
_MAX_OCCURRENCES = 1_000
"""Of a quote that occurs more often the first ones are looked at: a row must not take minutes."""


def aligned(quotes: Sequence[str], text: str) -> list[Span | None]:
    """A span for each quote. No span is used twice: a repeated quote gets its next occurrence.

    The exact characters are searched first, then the same ignoring case and the amount of whitespace. Of several
    occurrences, whole words win over parts of words ("Ann" in "Anna"), then text outside of other spans, then the first
    one. A part of a word is accepted only if the quote is nowhere a whole word, and not for a repeated quote. Of more
    than 1,000 occurrences only the first 1,000 are considered.
    """
    taken: list[Span] = []
    found: list[Span | None] = []
    squeezed = _Squeezed(text)
    for number, quote in enumerate(quotes):
        repeated = quote in quotes[:number]
        span = _best(_occurrences(quote, text), text, taken, repeated) or _best(
            squeezed.occurrences(quote), text, taken, repeated
        )
        taken += [span] if span else []
        found.append(span)
    return found


def _occurrences(quote: str, text: str) -> Iterator[Span]:
    """All of them, also those that overlap."""
    start = text.find(quote) if quote.strip() else -1
    while start >= 0:
        yield start, start + len(quote)
        start = text.find(quote, start + 1)


class _Squeezed:
    """A text without differences in case and whitespace, and where its characters are in the text. A search in it takes
    time that is linear in the text, whatever the quote; that of a regular expression does not."""

    def __init__(self, text: str) -> None:
        self._text = text

    def occurrences(self, quote: str) -> Iterator[Span]:
        """Spans of the text itself."""
        for start, end in _occurrences(" ".join(_folded(quote).split()), self._squeezed):
            yield self._place(start), self._place(end - 1) + 1

    def _place(self, at: int) -> int:
        word = bisect_right(self._starts, at) - 1
        return self._words[word][0] + at - self._starts[word]

    @cached_property
    def _words(self) -> list[Span]:
        return [match.span() for match in re.finditer(r"\S+", self._text)]

    @cached_property
    def _starts(self) -> list[int]:
        """Where each word begins among the squeezed."""
        lengths = (end - start + 1 for start, end in self._words)
        return list(accumulate(lengths, initial=0))[:-1]

    @cached_property
    def _squeezed(self) -> str:
        return " ".join(_folded(self._text).split())


def _folded(text: str) -> str:
    """Without differences in case, and with as many characters as before: "ß" would become two."""
    folded = text.casefold()
    if len(folded) == len(text):
        return folded
    return "".join(one if len(one) == 1 else c for c, one in ((c, c.casefold()) for c in text))


def _best(spans: Iterable[Span], text: str, taken: Sequence[Span], repeated: bool) -> Span | None:
    there = list(islice(spans, _MAX_OCCURRENCES))
    if repeated or not all(_cuts_a_word(span, text) for span in there):
        there = [span for span in there if not _cuts_a_word(span, text)]
    free = (span for span in there if span not in taken)
    return min(free, key=lambda s: (_cuts_a_word(s, text), _overlaps(s, taken), s[0]), default=None)


def _cuts_a_word(span: Span, text: str) -> bool:
    return any(0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum() for at in span)


def _overlaps(span: Span, taken: Sequence[Span]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in taken)
