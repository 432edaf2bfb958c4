"""Where the quotes of a model are in the text that it read.

In: quotes in the model's order, and the row's text. Out: a span for each, in characters (Unicode code points, as
Python's slices); None for a quote that the row does not contain. Nothing is invented: a span is always text of the row.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

Span = tuple[int, int]
"""[start, end) in characters."""


def aligned(quotes: Sequence[str], text: str) -> list[Span | None]:
    """A span for each quote. No span is used twice: a repeated quote gets its next occurrence.

    The exact characters are searched first, then the same ignoring case and the amount of whitespace. Of several
    occurrences, whole words win over parts of words ("Ann" in "Anna"), then text outside of other spans, then the first
    one. A part of a word is accepted only if the quote is nowhere a whole word, and not for a repeated quote.
    """
    taken: list[Span] = []
    found: list[Span | None] = []
    for number, quote in enumerate(quotes):
        repeated = quote in quotes[:number]
        span = _best(_exact(quote, text), text, taken, repeated) or _best(
            _loose(quote, text), text, taken, repeated
        )
        taken += [span] if span else []
        found.append(span)
    return found


def _exact(quote: str, text: str) -> Iterator[Span]:
    start = text.find(quote) if quote.strip() else -1
    while start >= 0:
        yield start, start + len(quote)
        start = text.find(quote, start + 1)


def _loose(quote: str, text: str) -> Iterator[Span]:
    if words := quote.split():
        # A lookahead finds occurrences that overlap.
        pattern = r"\s+".join(map(re.escape, words))
        yield from (match.span(1) for match in re.finditer(f"(?=({pattern}))", text, re.IGNORECASE))


def _best(spans: Iterable[Span], text: str, taken: Sequence[Span], repeated: bool) -> Span | None:
    there = list(spans)
    if repeated or not all(_cuts_a_word(span, text) for span in there):
        there = [span for span in there if not _cuts_a_word(span, text)]
    free = (span for span in there if span not in taken)
    return min(free, key=lambda s: (_cuts_a_word(s, text), _overlaps(s, taken), s[0]), default=None)


def _cuts_a_word(span: Span, text: str) -> bool:
    return any(0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum() for at in span)


def _overlaps(span: Span, taken: Sequence[Span]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in taken)
