"""Finds the rows that kill an engine, by asking for ever smaller parts of what was asked when it died.

In: numbers of rows, and what asks for them. Out: the rows that are to blame. Knows no engine and no labels.
"""

from collections.abc import Callable, Iterator, Sequence

PARTS = 16
"""Into so many parts rows are cut at which the engine died: few deaths find one row among thousands."""


def fatal_rows(
    suspects: Sequence[int],
    ask: Callable[[Sequence[int], int], Sequence[int]],
    answers_others: Callable[[], bool],
    is_broken: Callable[[], bool],
    attempt: int = 2,
    was_alone: bool = False,
) -> Iterator[int]:
    """The rows at which an engine dies alone, twice, while it answers others.

    Args:
        suspects: The rows that were asked when it died.
        ask: Asks for rows, given the number of the attempt; returns those at which the engine died, none if it lives.
        answers_others: Whether the engine answers a harmless row: if it does not, no row is to blame.
        is_broken: Whether it has died too often to go on.
        attempt: The number of the next attempt.
        was_alone: It has died when it was asked for nothing but this one row.
    """
    size = -(-len(suspects) // PARTS)
    for start in range(0, len(suspects), size or 1):
        if is_broken():
            return
        part = suspects[start : start + size]
        if not (died_at := ask(part, attempt)):
            continue
        if not was_alone:
            yield from fatal_rows(died_at, ask, answers_others, is_broken, attempt + 1, len(part) == 1)
        elif answers_others():
            yield part[0]
