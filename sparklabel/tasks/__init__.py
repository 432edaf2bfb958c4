"""The task kinds, and the way in and out of YAML.

A kind is one file of this folder: its fields, its value's SQL type, its question, and how it is answered, which is one
of answer_modes.py.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from sparklabel.errors import TaskError
from sparklabel.tasks.answer_modes import AnswerMode, FieldSpan, Generated, ParsedAnswer, Scored, counts
from sparklabel.tasks.answering import Answering
from sparklabel.tasks.candidate_labels import CandidateLabels
from sparklabel.tasks.choices import MOST_ALTERNATIVES
from sparklabel.tasks.classification import Classification
from sparklabel.tasks.constructors import (
    answering,
    classification,
    entities,
    extraction,
    generation,
    matching,
    multilabel,
    rating,
)
from sparklabel.tasks.entities import Entities
from sparklabel.tasks.examples_from import ExamplesFrom
from sparklabel.tasks.extraction import Extraction
from sparklabel.tasks.generation import Generation
from sparklabel.tasks.matching import Matching
from sparklabel.tasks.multilabel import Multilabel
from sparklabel.tasks.rating import Rating
from sparklabel.tasks.task import Example, Task, check_task, has_choices

KINDS: dict[str, type[Task]] = {
    "classification": Classification,
    "multilabel": Multilabel,
    "matching": Matching,
    "rating": Rating,
    "extraction": Extraction,
    "entities": Entities,
    "answering": Answering,
    "generation": Generation,
}


def task_from_dict(fields: object) -> Task:
    """A task from what YAML or JSON held. Raises TaskError."""
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or not isinstance(kind, str) or kind not in KINDS:
        raise TaskError(
            f"There is no task kind {kind!r}." if kind else "This is not a task: it has no `kind`.",
            hint=f"Start it with `kind: NAME`, one of: {', '.join(KINDS)}.",
        )
    return KINDS[kind].build(**{str(field): value for field, value in fields.items()})


_MERGE = "tag:yaml.org,2002:merge"


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a later key replace an earlier one silently: half of a list of labels could get lost so."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue  # its keys are those of another mapping, and our own come before them
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
    if not isinstance(path, str | Path):
        raise TaskError(f"A task file is a path, not {path!r}.")
    try:
        fields = yaml.load(Path(path).read_text("utf-8"), _UniqueKeys)
    except (OSError, ValueError, yaml.YAMLError) as error:  # a date that no calendar has is a ValueError
        raise TaskError(f"Cannot read the task file {path}: {error}") from None
    try:
        return task_from_dict(fields)
    except TaskError as error:
        raise TaskError(f"{path}: {error.message}", hint=error.hint) from None


__all__ = [
    "KINDS",
    "MOST_ALTERNATIVES",
    "AnswerMode",
    "Answering",
    "CandidateLabels",
    "Classification",
    "Entities",
    "Example",
    "ExamplesFrom",
    "Extraction",
    "FieldSpan",
    "Generated",
    "Generation",
    "Matching",
    "Multilabel",
    "ParsedAnswer",
    "Rating",
    "Scored",
    "Task",
    "answering",
    "check_task",
    "classification",
    "counts",
    "entities",
    "extraction",
    "generation",
    "has_choices",
    "load_task",
    "matching",
    "multilabel",
    "rating",
    "task_from_dict",
]
