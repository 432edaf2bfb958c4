"""How far people agree beyond chance: Krippendorff's alpha, and Cohen's kappa of two.

In: answers by row and person. Out: numbers, at most 1; 0 is agreement by chance.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def alpha(
    rows: Iterable[Sequence[Hashable]], distance: Callable[[int, int], float] | None = None
) -> float | None:
    """Krippendorff's alpha (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C): for any number
    of people, and for rows that not all of them answered.

    Args:
        rows: The answers to each row, in any order. Rows with fewer than two say nothing.
        distance: Of two values, 0 where they are equal; None: 1 between any two that differ. It gets the numbers of
            the values in the order of their first appearance.

    Returns:
        None if no row has two answers, or all answers are the same: there is nothing to agree about.
    """
    paired = [row for row in rows if len(row) > 1]
    numbers: dict[Hashable, int] = {}
    for row in paired:
        for value in row:
            numbers.setdefault(value, len(numbers))
    size = len(numbers)
    if size < 2:
        return None
    coincidences = np.zeros((size, size))
    for row in paired:
        counts = np.zeros(size)
        for value in row:
            counts[numbers[value]] += 1
        coincidences += (np.outer(counts, counts) - np.diag(counts)) / (len(row) - 1)
    apart = _distances(size, distance)
    totals = coincidences.sum(axis=1)
    expected = (np.outer(totals, totals) - np.diag(totals)) / (totals.sum() - 1)
    return float(1 - (coincidences * apart).sum() / (expected * apart).sum())


def interval_alpha(rows: Iterable[Sequence[float]]) -> float | None:
    """The same for numbers, whose distance is the square of their difference."""
    kept = [list(row) for row in rows]
    values = list(dict.fromkeys(value for row in kept if len(row) > 1 for value in row))
    return alpha(kept, lambda one, other: (values[one] - values[other]) ** 2)


def kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Cohen's kappa of two people (Cohen 1960). None without rows, or if both always say the same one thing."""
    if not pairs:
        return None
    values = list(dict.fromkeys(value for pair in pairs for value in pair))
    table = np.zeros((len(values), len(values)))
    for one, other in pairs:
        table[values.index(one), values.index(other)] += 1
    table /= len(pairs)
    by_chance = float(table.sum(axis=1) @ table.sum(axis=0))
    return None if by_chance == 1 else float((np.trace(table) - by_chance) / (1 - by_chance))


def pairwise_kappas(
    rows: Iterable[Mapping[str, Hashable]],
) -> dict[tuple[str, str], tuple[float | None, int]]:
    """For each two people who answered the same rows: kappa, and how many rows. `rows` have answers by person."""
    shared: dict[tuple[str, str], list[tuple[Hashable, Hashable]]] = {}
    for row in rows:
        people = sorted(row)
        for number, one in enumerate(people):
            for other in people[number + 1 :]:
                shared.setdefault((one, other), []).append((row[one], row[other]))
    return {pair: (kappa(answers), len(answers)) for pair, answers in shared.items()}


def _distances(size: int, distance: Callable[[int, int], float] | None) -> NDArray[np.float64]:
    if distance is None:
        return 1 - np.eye(size)
    return np.array([[distance(one, other) for other in range(size)] for one in range(size)], dtype=float)
