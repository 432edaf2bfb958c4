"""Lists that repeat themselves: small models that decode greedily write the same items until they are cut off.

In: a model's text that did not end. Out: the list up to its first repetition, as JSON. Lists that were merely too long
are left alone: what is missing of them was not written yet.
"""

import json

from sparklabel.tasks.json_values import JsonNode, written_items

_MIN_ELEMENTS = 3
"""So many repeated items are no accident. A text may well name a thing twice."""


def until_repetition(text: str) -> str | None:
    """A JSON list that was cut while it repeated itself, ended before its first repetition; None for other texts.

    The last items repeat if each equals the one `period` items before it, and there are at least a whole period and
    three of them.

    Example:
        >>> until_repetition('["a", "b", "a", "b", "a", "b", "a", "')
        '["a", "b"]'
    """
    items = written_items(text)
    kept = _first_repeated(items)
    return f"{text[: items[kept - 1].end]}]" if kept else None


def _first_repeated(items: tuple[JsonNode, ...]) -> int | None:
    values = [json.dumps(item.value) for item in items]
    for period in range(1, len(values) // 2 + 1):
        repeated = 0
        while repeated < len(values) - period and values[-1 - repeated] == values[-1 - repeated - period]:
            repeated += 1
        if repeated >= max(period, _MIN_ELEMENTS):
            return len(values) - repeated
    return None
