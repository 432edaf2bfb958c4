"""What a review came to: what is printed at its end.

In: the server's state. Out: a frozen report.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sparklabel.annotator_agreement import alpha
from sparklabel.intervals import wilson_interval
from sparklabel.redaction import printable_lines
from sparklabel.reviewing.resolve import canonical
from sparklabel.reviewing.review_state import ReviewState
from sparklabel.reviewing.table.changes import not_written_lines
from sparklabel.texts import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReview:
    """What people said about one task.

    Attributes:
        task: Its name.
        answered: Inputs that have an answer, those that are disputed included.
        audited: Of these, the ones that judge models.
        disputed: Of these, the ones on which people are evenly divided.
        people: Who answered.
        right, judged: On how many audited inputs the model was right, and of how many.
        alpha: Krippendorff's alpha; None where no input has two answers.
        not_written: Inputs whose label does not have the last answer, by why: one of `label_decisions.REFUSALS`.
        waiting: Events that the table does not have. The journal does.
        unmerged: Inputs whose label does not have the answer yet.
        error: Why; empty if nothing failed.
    """

    task: str
    answered: int
    audited: int
    disputed: int
    people: int
    right: int
    judged: int
    alpha: float | None
    not_written: Mapping[str, int]
    waiting: int
    unmerged: int = 0
    error: str = ""

    def __str__(self) -> str:
        who = counted(self.people, "person", "people")
        lines = [f"{self.task}: {counted(self.answered, 'answer')} of {who}"]
        if self.judged:
            low, high = wilson_interval(self.right, self.judged)
            lines.append(
                f"the model is right in {self.right / self.judged:.0%} of {counted(self.judged, 'audited row')} "
                f"({low:.0%} to {high:.0%})"
            )
        if self.alpha is not None:
            lines.append(f"people agree with alpha {self.alpha:.2f}")
        if self.disputed:
            lines.append(f"{counted(self.disputed, 'row')} disputed")
        lines += not_written_lines(self.not_written)
        if self.waiting:
            lines.append(f"{counted(self.waiting, 'event')} not in the answers table yet")
        if self.unmerged:
            lines.append(f"{counted(self.unmerged, 'row')} without their answer yet")
        if self.error:
            lines.append(f"the table said: {self.error}")
        return "\n  ".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewReport:
    """What a review came to. `minutes` is how long the server ran, `next_step` what to do now."""

    tasks: tuple[TaskReview, ...]
    minutes: float
    next_step: str

    def __str__(self) -> str:
        took = counted(round(self.minutes), "minute")
        return printable_lines("\n".join((*map(str, self.tasks), took, self.next_step)))


def review_report(state: ReviewState) -> ReviewReport:
    """The report of everything that the journal holds of the tasks whose rows were loaded."""
    tasks = tuple(_task_review(state, task) for task in state.sessions)
    return ReviewReport(
        tasks=tasks, minutes=(state.clock() - state.started) / 60, next_step=_next_step(state, tasks)
    )


def _task_review(state: ReviewState, task: str) -> TaskReview:
    session, sync = state.sessions[task], state.syncs[task]
    history = session.history
    votes = [
        [canonical(value) for value in history.resolution(name).votes.values()] for name in history.inputs()
    ]
    right, judged = session.accuracy()
    return TaskReview(
        task=task, answered=history.answered, audited=session.queue.audited, disputed=len(history.disputed),
        people=sum(history.standing(person) > 0 for person in history.people), right=right, judged=judged,
        alpha=alpha(votes), not_written=sync.not_written, waiting=sync.waiting,
        unmerged=sync.unmerged, error=sync.error or "",
    )  # fmt: skip


def _next_step(state: ReviewState, tasks: tuple[TaskReview, ...]) -> str:
    call = state.call
    # Before rows are loaded nothing is known of what the table has, unless there is nothing that it could lack.
    is_unknown = not tasks and state.journal.last_seq > 0
    if is_unknown or any(task.waiting or task.unmerged for task in tasks):
        return (
            f"Some answers are not in the table yet; they are safe in {call.journal}: sparklabel flush --journal "
            f"{call.journal}"
        )
    best = max(tasks, key=lambda task: task.answered, default=None)
    if best is None or best.answered == 0:
        return "No answers yet. Run the same command to continue."
    counts = f"{counted(best.audited, 'judge')}, {best.answered - best.audited:,} to learn from"
    if best.audited < call.judges:
        return f"{counts}: run the same command until there are {call.judges} judges"
    into = f" --into {call.into}" if call.into else ""
    return f"{counts}: sparklabel finetune --table {call.table}{into} --task ... (the file of {best.task})"
