"""Where the texts that a model quotes are in the text that it read.

In: quoted texts in the model's order, and the row's text. Out: a span each, in characters (Unicode code points, as
Python slices); None for what the row does not hold. Nothing is invented: a span is always the row's own text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

Span = tuple[int, int]
"""[start, end) in characters."""


def aligned(quotes: Sequence[str], text: str) -> list[Span | None]:
    """A span for each quote, each span once: a quote that is repeated finds its next occurrence.

    The same characters are looked for first, then the same without regard to case and to how wide blanks are. Of
    several occurrences, whole words come before parts of words ("Ann" in "Anna"), free text before text that is in
    another span, and then the first. A part of a word is taken only where the quote is nowhere a word, and not for a
    repetition.
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
        # In a lookahead, so that occurrences which overlap are found.
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
