"""Packs short sequences into long ones of a fixed size, so that training computes hardly any padding.

In: lengths. Out: which sequences share a pack. Plain numbers, no tensors.
"""

from collections.abc import Sequence


def best_fit(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Numbers of sequences, pack by pack: the longest first, each into the fullest pack that has room for it.

    Best-fit decreasing needs at most 11/9 of the fewest possible packs, and one more (Johnson 1973). Which pack has
    room is found in a bit set of the rooms that packs have, so N sequences take O(N log N).

    Args:
        lengths: Of the sequences, each at least 1 and at most `size`.
        size: Of a pack.
    """
    packs: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(size + 1)]
    rooms = 0  # bit r: some pack has room for exactly r
    for number in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[number]
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            pack = with_room[room].pop()
            if not with_room[room]:
                rooms &= ~(1 << room)
        else:
            room, pack = size, len(packs)
            packs.append([])
        packs[pack].append(number)
        with_room[room - length].append(pack)
        rooms |= 1 << (room - length)
    return packs
