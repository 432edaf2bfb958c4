"""What a task's YAML may cost before anything is built from it, and what is said of a file that cannot be read.

In: a text. Out: nothing, or an error. Events are counted as the parser gives them, which takes no recursion.
"""

from pathlib import Path

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


def reading_problem(error: Exception, path: Path) -> tuple[str, str]:
    """What is wrong with the file, and what to do about it, if that is known: Python and YAML give numbers of errors,
    bytes, and a name for the text that is not the file's."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 at byte {error.start}.", "Save it as UTF-8."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}.", ""
    return str(error).replace('"<unicode string>"', f'"{path.name}"'), ""
