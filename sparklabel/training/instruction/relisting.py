"""What a prompt lists of its task, drawn anew for each: labels, types of entities, or fields.

In: a task and a row's answer. Out: the task with its list in another order, and often without some of it, and what is
then the right answer. A model that always sees one list learns it by heart, and does not read that of another task
(class order shuffling and dropout: Sainz et al. 2024, GoLLIE, arXiv:2310.03668).
"""

import random
from collections.abc import Sequence
from typing import Any, TypeVar

from sparklabel.prompts import candidate_labels
from sparklabel.tasks import Task
from sparklabel.tasks.classification import Classification
from sparklabel.tasks.entities import Entities
from sparklabel.tasks.extraction import Extraction
from sparklabel.tasks.label_options import label_number
from sparklabel.tasks.multilabel import Multilabel, label_of

_DROPOUT = 0.5
"""The share of the lists that lack something."""
_T = TypeVar("_T")


def is_relisted(task: Task) -> bool:
    """Whether prompts list anything of such a task that can be drawn anew."""
    if isinstance(task, Classification):
        return candidate_labels(task) is None
    return isinstance(task, Multilabel | Entities | Extraction)


def relisted(
    task: Task, answer: Any, choice: int, drawn: random.Random, *, with_examples: bool
) -> tuple[Task, Any]:
    """The task with its list drawn anew, and what is the right answer to it.

    Args:
        task: One that `is_relisted`.
        answer: The row's right answer.
        choice: The number of the choice that is asked for; its label stays. -1 if the answer is written.
        drawn: What chance is taken from.
        with_examples: Whether the prompt shows examples. They have what the whole list asks for: nothing is left out
            then, and fields keep the order that the examples have.
    """
    with_examples = with_examples or bool(task.examples)
    if isinstance(task, Classification | Multilabel):
        asked = label_of(choice) if isinstance(task, Multilabel) else choice
        labels = _drawn(task.labels, asked, drawn, is_whole=with_examples)
        return task.model_copy(update={"labels": labels}), answer
    if isinstance(task, Entities):
        types = _drawn(task.types, None, drawn, is_whole=with_examples)
        names = tuple(kind.name for kind in types)
        left = [one for one in answer if label_number(names, one["type"]) is not None]
        return task.model_copy(update={"types": types}), left
    if isinstance(task, Extraction) and not with_examples:
        fields = _drawn(task.fields, None, drawn, is_whole=False)
        values = {field.name: answer.get(field.name) for field in fields}
        return task.model_copy(update={"fields": fields}), values
    return task, answer


def _drawn(items: Sequence[_T], kept: int | None, drawn: random.Random, *, is_whole: bool) -> tuple[_T, ...]:
    """The items in any order; unless all of them must be there, every other time without some, but one at least and the
    one of the number `kept`."""
    others = [number for number in range(len(items)) if number != kept]
    if not is_whole and others and drawn.random() < _DROPOUT:
        others = drawn.sample(others, drawn.randint(1, len(others)))
    listed = others if kept is None else [kept, *others]
    drawn.shuffle(listed)
    return tuple(items[number] for number in listed)
