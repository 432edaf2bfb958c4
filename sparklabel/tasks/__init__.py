"""The kinds of tasks, and reading them from YAML.

A kind is one file of this folder: its fields, its value's SQL type, its question, and its answer mode (`Scored` or
`Generated`).
"""

from pathlib import Path

import yaml

from sparklabel.arguments import did_you_mean
from sparklabel.errors import TaskError
from sparklabel.tasks.answer_modes import (
    AnswerMode,
    Generated,
    ParsedAnswer,
    Scored,
    Span,
    counts,
    is_one_choice,
    judged_agreement,
)
from sparklabel.tasks.answering import Answering
from sparklabel.tasks.candidate_labels import CandidateLabels
from sparklabel.tasks.choices import MAX_ALTERNATIVES
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
from sparklabel.tasks.yaml_files import load_yaml, reading_problem

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
        fields = load_yaml(Path(path))
    except (OSError, ValueError, yaml.YAMLError) as error:  # a date that no calendar has is a ValueError
        problem, hint = reading_problem(error, Path(path))
        raise TaskError(f"Cannot read the task file {path}: {problem}", hint=hint) from None
    try:
        return task_from_dict(fields)
    except TaskError as error:
        raise TaskError(f"{path}: {error.message}", hint=error.hint) from None


def task_named_in(file: Path, given: object) -> Task:
    """The task that a YAML file gives: its fields, or the path of its own file as seen from there. Raises TaskError."""
    if not isinstance(given, str):
        return task_from_dict(given)
    path = file.parent / given
    if not path.is_file():
        raise TaskError(f"{file}: there is no task file {path}.")
    return load_task(path)


__all__ = [
    "KINDS",
    "MAX_ALTERNATIVES",
    "AnswerMode",
    "Answering",
    "CandidateLabels",
    "Classification",
    "Entities",
    "Example",
    "ExamplesFrom",
    "Extraction",
    "Generated",
    "Generation",
    "Matching",
    "Multilabel",
    "ParsedAnswer",
    "Rating",
    "Scored",
    "Span",
    "Task",
    "answering",
    "check_task",
    "classification",
    "counts",
    "entities",
    "extraction",
    "generation",
    "has_choices",
    "is_one_choice",
    "judged_agreement",
    "load_task",
    "matching",
    "multilabel",
    "rating",
    "task_from_dict",
]
