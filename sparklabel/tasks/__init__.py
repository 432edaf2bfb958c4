"""The kinds of tasks, and reading them from YAML.

A kind is one file of this folder: its fields, its value's SQL type, its question, and its answer mode (`Scored` or
`Generated`).
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from sparklabel.arguments import did_you_mean
from sparklabel.errors import TaskError
from sparklabel.tasks.answer_modes import AnswerMode, FieldSpan, Generated, ParsedAnswer, Scored, counts
from sparklabel.tasks.answering import Answering
from sparklabel.tasks.candidate_labels import CandidateLabels
from sparklabel.tasks.choices import MOST_ALTERNATIVES
from sparklabel.tasks.classification import Classification
from sparklabel.tasks.constructors import classification, matching, multilabel, rating
from sparklabel.tasks.entities import Entities
from sparklabel.tasks.examples_from import ExamplesFrom
from sparklabel.tasks.extraction import Extraction
from sparklabel.tasks.generated_constructors import answering, entities, extraction, generation
from sparklabel.tasks.generation import Generation
from sparklabel.tasks.matching import Matching
from sparklabel.tasks.multilabel import Multilabel
from sparklabel.tasks.rating import Rating
from sparklabel.tasks.task import Example, Task, check_task, has_choices
from sparklabel.tasks.yaml_limits import LARGEST, check_yaml, reading_problem

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
    """A task from its fields, as YAML or JSON holds them. Raises TaskError."""
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or not isinstance(kind, str) or kind not in KINDS:
        guess = did_you_mean(str(kind), KINDS) or "."
        raise TaskError(
            f"There is no task kind {kind!r}{guess}" if kind else "This is not a task: it has no `kind`.",
            hint=f"Start it with `kind: NAME`, one of: {', '.join(KINDS)}.",
        )
    return KINDS[kind].build(**{str(field): value for field, value in fields.items()})


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


def load_task(path: str | Path) -> Task:
    """Reads a task from a YAML file.

    Args:
        path: The file. Its `kind` names the kind of task; the other fields are those of the function of that name, such
            as `classification`.

    Returns:
        The task, frozen.

    Raises:
        TaskError: The file cannot be read, or the definition cannot work. The message names the file and each field.

    Example:
        >>> load_task("conf/tasks/intent.yaml").kind
        'classification'
    """
    if not isinstance(path, str | Path):
        raise TaskError(f"load_task takes the path of a YAML file, not {path!r}.")
    try:
        fields = yaml.load(_text(Path(path)), _UniqueKeys)
    except (OSError, ValueError, yaml.YAMLError) as error:  # a date that no calendar has is a ValueError
        problem, hint = reading_problem(error, Path(path))
        raise TaskError(f"Cannot read the task file {path}: {problem}", hint=hint) from None
    try:
        return task_from_dict(fields)
    except TaskError as error:
        raise TaskError(f"{path}: {error.message}", hint=error.hint) from None


def _text(path: Path) -> str:
    """The file's text. Raises yaml.YAMLError if building a task from it would cost too much."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise yaml.YAMLError(f"it is larger than {LARGEST:,} bytes")
    text = content.decode("utf-8")
    check_yaml(text)
    return text


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
