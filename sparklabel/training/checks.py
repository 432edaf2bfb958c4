"""Whether human answers can teach a model, checked before anything is trained.

In: answers, their task, and where they are. Out: nothing, or an AnswersError that says what to answer first, or a
TaskError for a method that a task does not have.
"""

from itertools import accumulate

from sparklabel.errors import AnswersError, TaskError
from sparklabel.sql import quote
from sparklabel.table.human_answers import HumanAnswers
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import AnswerMode, Scored, Task


def check_scored(task: Task) -> Scored:
    """The task's mode. Raises TaskError for a kind whose answers are written."""
    if not isinstance(mode := task.answer_mode, Scored):
        raise TaskError(
            f"A classifier chooses, and answers to a task of kind {task.kind!r} are written.",
            hint="method='lora' fine-tunes for every kind; classifiers are for classification, multilabel, matching "
            "and rating.",
        )
    return mode


def check_answers(answers: HumanAnswers, task: Task, opened: TaskTable, force: bool) -> None:
    """Raises AnswersError if training would go wrong.

    Args:
        answers: The human answers.
        task: What they answer.
        opened: Where they are, for the error's hint.
        force: Refuse only what is impossible to train on: no answers, or a single label.
    """
    mode, target, label_columns = task.answer_mode, opened.target, opened.label_columns
    by_a_person = f"{quote(label_columns.label)}.source = 'human' WHERE ...;"
    if not _can_teach(answers, mode):
        names = list(map(repr, answers.counts(mode)))
        what = f"only {names[0]}" if len(names) == 1 else ", ".join(names) or "nothing"
        raise AnswersError(
            f"{target.name} has too few human answers to {task.name!r} to learn from: {len(answers.train)}, "
            f"they say: {what}.",
            hint=f"UPDATE {target.sql} SET {quote(label_columns.value)} = '...', {by_a_person} Start with a few "
            "hundred rows drawn at random.",
        )
    if force:
        return
    if missing := _missing_labels(answers, mode):
        raise AnswersError(
            f"No human answer says {', '.join(map(repr, missing))}: a model trained now would never say it either.",
            hint=f"Answer rows of {'these labels' if len(missing) > 1 else 'this label'}, or train anyway with "
            "force=True.",
        )
    judged = [answer for answer in answers.train if answer.agreed is not None]
    if judged and not answers.agreements:
        raise AnswersError(
            "All human answers disagree with the model: trained on corrections alone, it learns to contradict itself.",
            hint=f"Confirm correct labels too: UPDATE {target.sql} SET {by_a_person} Or train anyway with force=True.",
        )


def _can_teach(answers: HumanAnswers, mode: AnswerMode) -> bool:
    """Whether some group of choices has at least two different answers. Of generated answers, one is enough."""
    if not isinstance(mode, Scored):
        return bool(answers.train)
    given = _given_choices(answers, mode)
    ends = list(accumulate(mode.groups or (len(mode.choices),)))
    groups = (range(start, end) for start, end in zip([0, *ends], ends, strict=False))
    return any(len(given.intersection(group)) > 1 for group in groups)


def _missing_labels(answers: HumanAnswers, mode: AnswerMode) -> list[str]:
    """The names of the choices that no training answer gives. None for generated answers and scales."""
    if not isinstance(mode, Scored) or mode.ordinal:
        return []
    given = _given_choices(answers, mode)
    return [name for number, name in enumerate(mode.names) if number not in given]


def _given_choices(answers: HumanAnswers, mode: Scored) -> set[int]:
    return {number for answer in answers.train for number in mode.chosen(answer.answer)}
