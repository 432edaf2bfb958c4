"""Batches of rows of similar length, so that little of them is padding.

In: the rows' lengths in tokens. Out: the rows' numbers, batch by batch. NumPy only.
"""

from collections.abc import Sequence

import numpy as np


def length_sorted_batches(lengths: Sequence[int], extra: int, batch_tokens: int) -> list[list[int]]:
    """Divides indices into batches of similar lengths, longest first.

    Args:
        lengths: of the rows, in tokens.
        extra: tokens added to each row.
        batch_tokens: the most tokens in a batch, padding included; a longer row is a batch of its own.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and (len(batches[-1]) + 1) * (lengths[batches[-1][0]] + extra) <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def shuffled_batches(
    random: np.random.Generator, lengths: Sequence[int], size: int, sorted_batches: int
) -> list[list[int]]:
    """Divides indices into batches of `size` in a random order, each of rows of similar length.

    Args:
        random: draws the order.
        lengths: of the rows, in tokens.
        size: rows in a batch; the last one may have fewer.
        sorted_batches: the number of consecutive batches within which shuffled rows are sorted by length. More leave
            less padding, and less to chance.
    """
    order, group = random.permutation(len(lengths)).tolist(), size * sorted_batches
    batches: list[list[int]] = []
    for begin in range(0, len(order), group):
        alike = sorted(order[begin : begin + group], key=lambda i: lengths[i])
        batches.extend(alike[i : i + size] for i in range(0, len(alike), size))
    return [batches[number] for number in random.permutation(len(batches))]
