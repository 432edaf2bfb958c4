"""Reading YAML that somebody wrote: what it may cost before anything is built from it, and no key twice.

In: a file. Out: its value, or an error. Events are counted as the parser gives them, which takes no recursion.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from sparklabel.errors import SetupError, SparklabelError

LARGEST = 1_000_000
"""Bytes of a file."""
_DEEPEST = 20
_MAX_NODES = 200_000


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
        if nodes > _MAX_NODES:
            raise yaml.YAMLError(f"it holds more than {_MAX_NODES:,} values, with what its aliases stand for")


_MERGE = "tag:yaml.org,2002:merge"


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is given twice. YAML would silently keep the last one, and lose half of a list of labels."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue  # its keys are those of another mapping, which this mapping's own keys override
            name = self.construct_object(key, deep=True)
            if not isinstance(name, Hashable):
                continue  # refused by YAML itself, below
            line = key.start_mark.line + 1
            if name in lines:
                raise yaml.YAMLError(f"{name!r} is given twice, in lines {lines[name]} and {line}")
            lines[name] = line
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> Any:
    """The file's value. Raises OSError, ValueError (a date that no calendar has, bytes that are no text), or
    yaml.YAMLError, also if building something from it would cost too much."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise yaml.YAMLError(f"it is larger than {LARGEST:,} bytes")
    return parse_yaml(content.decode("utf-8"))


def parse_yaml(text: str) -> Any:
    """The text's value. Raises ValueError or yaml.YAMLError as `load_yaml` does."""
    check_yaml(text)
    return yaml.load(text, _UniqueKeys)


def read_yaml(path: Path) -> Any:
    """As `load_yaml`, with a SetupError that names the file."""
    try:
        return load_yaml(path)
    except (OSError, UnicodeDecodeError) as error:
        problem, hint = reading_problem(error, path)
        raise SetupError(f"{path} cannot be read: {problem}", hint=hint) from None
    except (ValueError, yaml.YAMLError) as error:  # a date that no calendar has is a ValueError
        raise SetupError(f"{path} is not YAML: {reading_problem(error, path)[0]}") from None


def reading_problem(error: Exception, path: Path) -> tuple[str, str]:
    """What is wrong with the file, and what to do about it, if that is known: Python and YAML give numbers of errors,
    bytes, and a name for the text that is not the file's."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 at byte {error.start}.", "Save it as UTF-8."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}.", ""
    return str(error).replace('"<unicode string>"', f'"{path.name}"'), ""


def yaml_files(folder: Path, what: str, failure: type[SparklabelError]) -> list[Path]:
    """The YAML files of a folder, by name. Raises `failure`, which says that it has none of `what` they would hold."""
    files = sorted(path for path in folder.glob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    if not files:
        found = (
            "it has no file that ends in .yaml or .yml"
            if folder.is_dir()
            else "it is a file; give its folder"
            if folder.is_file()
            else "there is no such folder"
        )
        raise failure(f"There are no {what} in {folder}: {found}.")
    return files
