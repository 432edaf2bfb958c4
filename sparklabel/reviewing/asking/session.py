"""One task while people answer it: its rows, who gets which, what is shown, what the answers come to.

In: rows of the table's side, events of the journal, requests of people, scores of the probe. Out: rows to show,
events for the journal, figures. Everything is in memory, and all of it can be made anew from the table and the journal.
It belongs to one thread: the server's.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sparklabel.reviewing.asking.answer_values import checked_value, gone_row, is_right
from sparklabel.reviewing.asking.bulk_notes import bulk_of, bulk_of_note
from sparklabel.reviewing.asking.history import TaskHistory
from sparklabel.reviewing.asking.queue import ReviewQueue
from sparklabel.reviewing.asking.row_filters import (
    ANSWERED,
    DISPUTED,
    FLAGGED,
    NOTE,
    SUSPICIOUS,
    UNANSWERED,
    row_filter,
)
from sparklabel.reviewing.asking.suggestions import Suggestion, Suggestions
from sparklabel.reviewing.asking.suspicious_rows import SuspiciousRows, why_none
from sparklabel.reviewing.people import LEAD, Person
from sparklabel.reviewing.probe.scores import Scores
from sparklabel.reviewing.records import (
    ANSWER,
    AUDIT,
    NOBODY,
    QUEUE,
    RESOLVE,
    UNDO,
    Before,
    Event,
    ReviewRow,
    Shown,
)
from sparklabel.reviewing.requests import EventIn, FilterIn, NextIn, ShownIn
from sparklabel.reviewing.table.changes import TableChanges, before_of
from sparklabel.reviewing.table.sides import ProbeSide
from sparklabel.tasks import Task

KEPT, CHANGED, REFUSED = OUTCOMES = ("kept", "changed", "refused")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event: `kept`; `changed`, kept too, but the row has another answer in the table by now, and is
    to be shown again; `refused`, and `why`."""

    event_id: str
    outcome: str
    why: str | None = None
    row: ReviewRow | None = None


class TaskSession:
    """One task's state. Events come in with their numbers, by `apply`, once they are on disk.

    Args:
        task: The task.
        rows: Those to review.
        queue: Who gets which of them.
        probe: Learns from the answers; None: there is none.
    """

    def __init__(
        self, task: Task, rows: Iterable[ReviewRow], queue: ReviewQueue, probe: ProbeSide | None = None
    ) -> None:
        self.task, self.queue, self.history = task, queue, TaskHistory()
        self.suggestions, self.changes = Suggestions(task), TableChanges()
        self._mode, self._fingerprint, self._probe = task.answer_mode, task.fingerprint, probe
        self._rows = {row.input_hash: row for row in rows}
        self._judged: dict[str, bool] = {}
        self._suspicious = SuspiciousRows(self._mode, self._label)

    @property
    def rows(self) -> Collection[ReviewRow]:
        """All rows that are loaded."""
        return self._rows.values()

    @property
    def learnable(self) -> list[str]:
        """The inputs that a probe may learn from, by hash: answered ones, too, and none that judges."""
        return [name for name, row in self._rows.items() if not row.is_held_out]

    def row(self, name: str) -> ReviewRow | None:
        """A row by its input's hash."""
        return self._rows.get(name)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Which of these inputs are not loaded."""
        return [name for name in names if name not in self._rows]

    def know(self, rows: Iterable[ReviewRow]) -> None:
        """Takes rows that are not to be asked: somebody went back to them, or answered them before a restart."""
        for row in rows:
            self._rows.setdefault(row.input_hash, row)
            self._judge_model(row.input_hash)

    def replay(self, events: Iterable[Event]) -> None:
        """Takes what the journal holds, at the start."""
        for event in events:
            if self.history.add(event):
                self._note(event.input_hash)
                if event.kind == ANSWER and event.shown.by != NOBODY:
                    self.suggestions.judged(
                        event.shown.by, is_right(self._mode, event.value, event.shown.value)
                    )

    def tell_all(self) -> None:
        """Tells the probe the rows and the answers that there are."""
        if self._probe:
            rows = [(name, self._rows[name].inputs) for name in self.learnable]
            self._probe.tell(
                rows=rows, answers=[found for name, _ in rows if (found := self._lesson(name))[1] is not None]
            )

    def next(self, person: Person, wanted: NextIn, now: float) -> tuple[list[ReviewRow], str | None]:
        """Rows for a person, and what to tell about them. `now` is in seconds, of a clock that is never set back."""
        have, count = wanted.have, wanted.count
        if wanted.filter.is_empty:
            return self.queue.next(person.name, count, have, now), None
        fits, among = self.fits(wanted.filter), self.among(wanted.filter)
        note = why_none(self.suggestions.learned_from) if wanted.filter.status == SUSPICIOUS else None
        return self.queue.next(person.name, count, have, now, fits, among), note or NOTE

    def fits(self, wanted: FilterIn) -> Callable[[ReviewRow], bool]:
        """Whether a row of those that `among` names fits a filter."""
        fits = row_filter(wanted)
        if wanted.status not in (ANSWERED, UNANSWERED):
            return fits
        return lambda row: fits(row) and self.is_answered(row) == (wanted.status == ANSWERED)

    def among(self, wanted: FilterIn) -> list[str] | None:
        """The inputs that are flagged, disputed or suspicious, if these are wanted; None: all."""
        if wanted.status == SUSPICIOUS:
            return self._suspicious.find(self.suggestions.scores)
        sets = {FLAGGED: self.history.flagged, DISPUTED: self.history.disputed}
        return list(sets[wanted.status]) if wanted.status in sets else None

    def is_answered(self, row: ReviewRow) -> bool:
        """Whether the row has a person's answer, here or in the table."""
        resolution = self.history.resolution(row.input_hash)
        return bool(resolution.votes) or resolution.is_answered or row.label.source == "human"

    def check(self, given: Sequence[EventIn], person: Person, at: str) -> list[Event | Outcome]:
        """For each event the one to keep, stamped by us, or its outcome if it is not to be kept.

        Args:
            given: As the browser sent them.
            person: Who sent them.
            at: When they came, ISO 8601 in UTC with microseconds.
        """
        found: list[Event | Outcome] = []
        done: set[str] = set()
        for one in given:
            try:
                found.append(self._checked(one, person, at, one.id in done))
            except ValueError as error:
                found.append(Outcome(one.event_id, REFUSED, str(error)))
            if isinstance(found[-1], Event):
                (done.discard if one.kind == UNDO else done.add)(one.id)
        return found

    def apply(self, event: Event) -> Outcome:
        """Takes an event that is on disk. Its number is set."""
        row = self._rows.get(event.input_hash)
        if self.history.add(event):
            # An answer in bulk was not given to this row: it says little of who was right about it.
            if row and event.kind == ANSWER and not row.is_held_out and bulk_of(event) is None:
                self.suggestions.judge(row, event.value)
            self.changes.forget(event.input_hash)
            self._note(event.input_hash)
            self._tell_probe(row)
        return self._outcome(event, row) if row else Outcome(event.event_id, KEPT)

    def take_scores(self, scores: Scores, places: dict[str, int], order: Sequence[str]) -> None:
        """Uses new scores: for suggestions, and for the order of what is asked."""
        self.suggestions.take(scores, places)
        self.queue.reorder(order)

    def suggestion(self, row: ReviewRow) -> Suggestion | None:
        """What is shown with the row. With a row that judges models nothing is."""
        return None if row.is_held_out else self.suggestions.of(row)

    def reason(self, row: ReviewRow) -> str:
        """Why the row is shown. What it was shown for first counts: then it was drawn at random, or not."""
        drawn = AUDIT if row.is_held_out and row.is_random else QUEUE
        return self.history.reason(row.input_hash) or drawn

    def note_moved(self, moved: Mapping[str, str], current: Mapping[str, ReviewRow]) -> None:
        """Takes what a merge did not write, and the rows as they are now: who was overtaken sees the row again."""
        self.changes.note_moved(moved)
        for name, row in current.items():
            reviewer = self.history.resolution(name).reviewer
            last = self.history.last_seq_of(name)
            if reviewer is not None and self.changes.is_overtaken(row, moved[name], last):
                self._rows[name] = row
                self.queue.give_again(row, reviewer)

    def sample(self, count: int) -> list[list[str]]:
        """The texts of some rows that do not judge models."""
        return [[text or "" for text in self._rows[name].inputs] for name in self.learnable[:count]]

    def held_out_answers(self, count: int) -> list[tuple[tuple[str | None, ...], Any]]:
        """The inputs of some audited rows, each with people's answer."""
        found = ((self._rows[name], self.history.resolution(name)) for name in self._judged)
        return [(row.inputs, answer.value) for row, answer in islice(found, count)]

    def accuracy(self) -> tuple[int, int]:
        """On how many audited inputs the model is right, and of how many."""
        return sum(self._judged.values()), len(self._judged)

    def _checked(self, one: EventIn, person: Person, at: str, is_done: bool) -> Event | Outcome:
        if author := self.history.author(one.event_id):
            if author != person.name:
                raise ValueError("Another person's event has this id.")
            return Outcome(one.event_id, KEPT)
        row = self._rows.get(one.id) or gone_row(one, next(iter(self._rows.values()), None))
        if one.kind == RESOLVE and not person.may(LEAD):
            raise ValueError("Only a lead decides what people dispute.")
        if bulk_of_note(one.note):
            raise ValueError("Notes of this form are those of bulk answers. Write it otherwise.")
        if one.kind == UNDO and not is_done and not self.history.can_undo(one.id, person.name):
            raise ValueError("There is nothing of yours to undo.")
        has_value = one.kind in (ANSWER, RESOLVE)
        # Who decided what people disputed, and answers it again, decides again: a decision stands above answers.
        is_again = one.kind == ANSWER and person.may(LEAD) and self.history.decider(one.id) == person.name
        return Event(
            event_id=one.event_id, task=self.task.name, key=row.key, input_hash=one.id,
            kind=RESOLVE if is_again else one.kind, reviewer=person.name,
            value=checked_value(self.task, self._mode, one.value, row.inputs) if has_value else None,
            reason=self.reason(row), shown=self._shown(one.shown, row),
            before=self._before(one, person), seconds=one.seconds, note=one.note or None,
            task_fingerprint=self._fingerprint, model=row.label.model, answered_at=at,
        )  # fmt: skip

    def _before(self, one: EventIn, person: Person) -> Before:
        """Whose answer the person saw with the row. A row is sent before it is drawn, and may be sent again meanwhile:
        what the browser drew counts, if we sent that once."""
        sent = self.changes.sent(one.id, person.name)
        if "before" not in one.model_fields_set:
            return sent
        drawn = Before() if one.before is None else Before(**one.before.model_dump())
        earlier = [event.before for event in self.history.events(one.id) if event.reviewer == person.name]
        return drawn if drawn in (sent, *earlier) else Before()

    def _shown(self, given: ShownIn | None, row: ReviewRow) -> Shown:
        """What the browser says it showed, if that can be."""
        if given is None or given.by == NOBODY or row.is_held_out:
            return Shown()
        try:
            value = checked_value(self.task, self._mode, given.value, row.inputs)
        except ValueError:
            return Shown()
        return Shown(value=value, confidence=given.confidence, by=given.by)

    def _outcome(self, event: Event, row: ReviewRow) -> Outcome:
        """An answer to a row that has got another one in the table is kept, and the row is shown again."""
        now = before_of(row)
        if event.kind != ANSWER or now == event.before or now == Before() or now.reviewer == event.reviewer:
            return Outcome(event.event_id, KEPT)
        return Outcome(event.event_id, CHANGED, self.changes.tell_overtaken(row), row)

    def _note(self, name: str) -> None:
        """Tells the queue what is known of an input now."""
        resolution, is_audit = self.history.resolution(name), self.history.is_audited(name)
        self.queue.note(
            name, answered_by=resolution.votes.keys(), passed_by=self.history.skipped_by(name),
            is_decided=resolution.by_lead, is_audit=is_audit,
        )  # fmt: skip
        if is_audit:
            self._judge_model(name)

    def _judge_model(self, name: str) -> None:
        resolution, row = self.history.resolution(name), self._rows.get(name)
        if row and resolution.is_answered and row.label.model is not None and self.history.is_audited(name):
            model = self.suggestions.by_model(row)
            self._judged[name] = model is not None and is_right(self._mode, resolution.value, model.value)
        else:
            self._judged.pop(name, None)

    def _tell_probe(self, row: ReviewRow | None) -> None:
        if self._probe and row and not row.is_held_out:
            self._probe.tell(answers=[self._lesson(row.input_hash)])

    def _label(self, name: str) -> Any:
        """The label that a row has: a person's, or the model's; None without one."""
        resolution, row = self.history.resolution(name), self._rows.get(name)
        return resolution.value if resolution.is_answered else row and row.label.model_value

    def _lesson(self, name: str) -> tuple[str, Any]:
        """What the probe is told of a row: its answer, None if it has none."""
        resolution = self.history.resolution(name)
        return name, resolution.value if resolution.is_answered else None
