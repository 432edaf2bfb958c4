"""Whether human answers can teach a model, found out before anything is trained.

In: answers, their task, where they are. Out: nothing, or an AnswersError that says what to answer first.
"""

from itertools import accumulate

from sparklabel.errors import AnswersError
from sparklabel.sql import quote
from sparklabel.table.human_answers import HumanAnswers
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import AnswerMode, Scored, Task


def check_answers(answers: HumanAnswers, task: Task, opened: TaskTable, force: bool) -> None:
    """Raises AnswersError where training would go wrong, and says what to answer first.

    With `force` only the impossible is refused: no answers, or a single label.
    """
    mode, target, label_columns = task.answer_mode, opened.target, opened.label_columns
    by_a_person = f"{quote(label_columns.label)}.source = 'human' WHERE ...;"
    if not _can_teach(answers, mode):
        said = list(map(repr, answers.counts(mode)))
        found = f"only {said[0]}" if len(said) == 1 else ", ".join(said) or "nothing"
        raise AnswersError(
            f"{target.name} has too few human answers to {task.name!r} to learn from: {len(answers.train)}, "
            f"they say: {found}.",
            hint=f"UPDATE {target.sql} SET {quote(label_columns.value)} = '...', {by_a_person} a few hundred rows "
            "drawn at random are a good beginning.",
        )
    if force:
        return
    if missing := _never_said(answers, mode):
        raise AnswersError(
            f"No human answer says {', '.join(map(repr, missing))}: a model trained now would never say it either.",
            hint=f"Answer rows of {'these labels' if len(missing) > 1 else 'this label'}, or train all the same with "
            "force=True.",
        )
    judged = [answer for answer in answers.train if answer.agreed is not None]
    if judged and not answers.agreements:
        raise AnswersError(
            "All human answers disagree with the model: trained on corrections alone, it learns to contradict itself.",
            hint=f"Confirm right labels too: UPDATE {target.sql} SET {by_a_person} or train all the same with "
            "force=True.",
        )


def _can_teach(answers: HumanAnswers, mode: AnswerMode) -> bool:
    """Whether there is a choice with answers for and against it; of written answers, whether there are any."""
    if not isinstance(mode, Scored):
        return bool(answers.train)
    said = _said(answers, mode)
    ends = list(accumulate(mode.groups or (len(mode.choices),)))
    starts = [0, *ends[:-1]]
    return any(len(said.intersection(range(start, end))) > 1 for start, end in zip(starts, ends, strict=True))


def _never_said(answers: HumanAnswers, mode: AnswerMode) -> list[str]:
    """The choices that no training answer says, by name; written answers have none."""
    if not isinstance(mode, Scored) or mode.ordinal:
        return []
    said = _said(answers, mode)
    return [name for number, name in enumerate(mode.names) if number not in said]


def _said(answers: HumanAnswers, mode: Scored) -> set[int]:
    return {number for answer in answers.train for number in mode.chosen(answer.answer)}
