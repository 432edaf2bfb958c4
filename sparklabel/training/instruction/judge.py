"""Asks models the held-out rows of a mixture's tasks.

In: tasks with rows that judge, models. Out: how right each model is on each row. A model is loaded once for all tasks,
and asked as a pass asks a model without fine-tuning: with the whole instructions, by the language model alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

from sparklabel.errors import TaskError
from sparklabel.labeler.zero_shot import LM
from sparklabel.models.references import ResolvedModel
from sparklabel.progress import WorkProgress
from sparklabel.splits import input_key
from sparklabel.table.human_answers import HumanAnswer
from sparklabel.tasks import Task, judged_agreement
from sparklabel.training.baseline import judged_spec
from sparklabel.training.control import ONE_MODEL, RunControl
from sparklabel.training.gate import GateResult
from sparklabel.training.instruction.generalization import Generalization, TaskScores, judge_mixture
from sparklabel.udf import LabelerSpec, load_engine, make_labeler, prepare

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class JudgedTask:
    """A task, whether the model is not taught it, and its rows that judge."""

    task: Task
    is_unseen: bool
    rows: tuple[HumanAnswer, ...]

    @classmethod
    def of_tables(
        cls, tables: Iterable[tuple[Task, bool, Sequence[HumanAnswer]]], most: int
    ) -> "list[JudgedTask]":
        """Each task once, though it may have several tables: with at most so many rows, one for each input, taken from
        the tables in turn."""
        found: dict[str, tuple[Task, bool, list[Sequence[HumanAnswer]]]] = {}
        for task, is_unseen, rows in tables:
            found.setdefault(task.name, (task, is_unseen, []))[2].append(rows)
        judged = []
        for task, is_unseen, of_tables in found.values():
            distinct: dict[tuple[str, ...], HumanAnswer] = {}
            for row in chain.from_iterable(zip_longest(*of_tables)):
                if row is not None:
                    distinct.setdefault(input_key(row.inputs), row)
            if distinct:
                judged.append(cls(task, is_unseen, tuple(distinct.values())[:most]))
        return judged


class MixtureJudge:
    """Judges models on a mixture's held-out rows. It remembers what they answered."""

    def __init__(self, tasks: Sequence[JudgedTask], control: RunControl) -> None:
        self._tasks, self._control = tasks, control
        self._scores: dict[str, list[tuple[float | None, ...]]] = {}

    @property
    def taught_rows(self) -> int:
        """How many rows judge the tasks that are taught."""
        return sum(len(one.rows) for one in self._tasks if not one.is_unseen)

    def check(self, model: ResolvedModel) -> None:
        """As `check_asked`, for the tasks that it judges on."""
        check_asked((one.task for one in self._tasks), model)

    def gate(
        self, candidate: ResolvedModel, baseline: ResolvedModel, name: str
    ) -> tuple[GateResult, Generalization | None]:
        """Judges a candidate against a baseline, which the reason calls `name`."""
        pairs = zip(self._tasks, self._asked(candidate), self._asked(baseline), strict=True)
        scores = [
            TaskScores(task=one.task.name, is_unseen=one.is_unseen, new=new, old=old)
            for one, new, old in pairs
        ]
        return judge_mixture(scores, name)

    def _asked(self, model: ResolvedModel) -> list[tuple[float | None, ...]]:
        if model.identity not in self._scores:
            with ONE_MODEL:
                self._scores[model.identity] = self._ask(model)
        return self._scores[model.identity]

    def _ask(self, model: ResolvedModel) -> list[tuple[float | None, ...]]:
        if not self._tasks:
            return []
        first = _spec(self._tasks[0].task, model)
        engine = load_engine(first.engine, first.model)
        total = sum(len(one.rows) for one in self._tasks)
        found = []
        with WorkProgress(f"judging {model.identity}", total, self._control.progress) as bar:
            for one in self._tasks:
                labeler, mode = make_labeler(_spec(one.task, model), engine), one.task.answer_mode
                scores: list[float | None] = []
                for begin in range(0, len(one.rows), _AT_ONCE):
                    self._control.end.check()
                    part = one.rows[begin : begin + _AT_ONCE]
                    labels = labeler.label([row.inputs for row in part])
                    scores += [
                        judged_agreement(mode, row.answer, label.value, label.status)
                        for row, label in zip(part, labels, strict=True)
                    ]
                    bar.advance(len(part), one.task.name)
                found.append(tuple(scores))
        return found


def check_asked(tasks: Iterable[Task], model: ResolvedModel) -> None:
    """Raises TaskError for a task that the model cannot be asked, ModelError if it cannot be fetched."""
    for task in tasks:
        try:
            prepare(_spec(task, model))
        except TaskError as error:
            raise TaskError(f"The task {task.name!r}: {error.message}", hint=error.hint) from None


def _spec(task: Task, model: ResolvedModel) -> LabelerSpec:
    """Without the encoder that is mixed in for the embedded model: it learns nothing here."""
    return replace(judged_spec(task, model), zero_shot=LM)
