"""The task kinds, and the way in and out of YAML.

A kind is one file of this folder: its fields, its value's SQL type, its question, and how it is answered, which is one
of answer_modes.py.
"""

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from sparklabel.errors import TaskError
from sparklabel.tasks.answer_modes import Scored
from sparklabel.tasks.classification import Classification
from sparklabel.tasks.task import Example, Task, check_task, scored

KINDS: dict[str, type[Task]] = {"classification": Classification}


def classification(
    name: str,
    inputs: str | Iterable[str],
    labels: Iterable[str] | Mapping[str, str],
    instructions: str = "",
    examples: Iterable[Any] | None = None,
    *,
    prior: str | None = None,
) -> Task:
    """A task that gives every row one of `labels`.

    `inputs` names the columns to read; `labels` is a list, or a mapping label -> description; `instructions` are the
    guidelines a person would get; `examples` are pairs (text, label), with a tuple of texts or a mapping column -> text
    for several inputs. `prior="content_free"` corrects a zero-shot model's lean to one label. Raises TaskError.
    """
    fields = {"inputs": inputs if isinstance(inputs, str) else _tuple(inputs, "inputs", name)}
    return Classification.build(
        kind="classification", name=name, labels=labels, instructions=instructions, prior=prior,
        examples=() if examples is None else _tuple(examples, "examples", name), **fields,
    )  # fmt: skip


def _tuple(values: object, field: str, name: str) -> tuple[Any, ...]:
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        return tuple(values)
    raise TaskError(f"The task {name!r} is not usable: {field} must be a list, not {values!r}.")


def task_from_dict(fields: object) -> Task:
    """A task from what YAML or JSON held. Raises TaskError."""
    if not isinstance(fields, dict) or fields.get("kind") not in KINDS:
        kind = fields.get("kind") if isinstance(fields, dict) else None
        raise TaskError(
            f"There is no task kind {kind!r}." if kind else "This is not a task: it has no `kind`.",
            hint=f"Start it with `kind: NAME`, one of: {', '.join(KINDS)}.",
        )
    return KINDS[fields["kind"]].build(**{str(field): value for field, value in fields.items()})


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a later key replace an earlier one silently: half of a list of labels could get lost so."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, Hashable):
                continue  # YAML's own complaint comes below
            line = key.start_mark.line + 1
            if name in lines:
                raise yaml.YAMLError(f"{name!r} is given twice, in the lines {lines[name]} and {line}")
            lines[name] = line
        return super().construct_mapping(node, deep)


def load_task(path: str | Path) -> Task:
    """Reads a task from a YAML file. Raises TaskError that names the file and the field."""
    try:
        fields = yaml.load(Path(path).read_text("utf-8"), _UniqueKeys)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TaskError(f"Cannot read the task file {path}: {error}") from None
    try:
        return task_from_dict(fields)
    except TaskError as error:
        raise TaskError(f"{path}: {error.message}", hint=error.hint) from None


__all__ = [
    "KINDS",
    "Classification",
    "Example",
    "Scored",
    "Task",
    "check_task",
    "classification",
    "load_task",
    "scored",
    "task_from_dict",
]
