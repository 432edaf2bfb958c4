"""What a task's YAML may cost before anything is built from it.

In: a text. Out: nothing, or an error. Events are counted as the parser gives them, which takes no recursion.
"""

import yaml

LARGEST = 1_000_000
"""Bytes of a task's file."""
_DEEPEST = 20
_MOST_NODES = 200_000


def check_yaml(text: str) -> None:
    """Raises yaml.YAMLError if the text is nested too deeply, or its aliases stand for too much."""
    sizes: dict[str | None, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    nodes = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if any(event.anchor == anchor for anchor, _ in open_nodes):
                raise yaml.YAMLError(f"{event.anchor!r} contains itself")
            nodes += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            sizes |= {anchor: nodes - before} if anchor else {}
        elif isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, nodes))
            nodes += 1
        if len(open_nodes) > _DEEPEST:
            raise yaml.YAMLError(f"it is nested deeper than {_DEEPEST} levels")
        if nodes > _MOST_NODES:
            raise yaml.YAMLError(
                f"it holds more than {_MOST_NODES:,} values, with what its aliases stand for"
            )
