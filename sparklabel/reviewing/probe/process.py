"""The live probe in a process of its own: learning and scoring take no time of the server's.

In: rows and answers, as they come. Out: `Scores`, after ten answers or three seconds, and while rows are read. Nothing
waits for it: if it ends, the last scores stay, and it is started once more.
"""

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeAlias

from sparklabel.errors import SparklabelError
from sparklabel.models.references import DEFAULT
from sparklabel.models.shipped_encoder import ENCODER
from sparklabel.reviewing.probe.scores import Scores as Scores
from sparklabel.reviewing.probe.worker import Inputs, ProbeWorker
from sparklabel.reviewing.review_call import AUTO, HIDDEN, NONE
from sparklabel.tasks import Scored, task_from_dict

_STARTS = 2
_NICE = 10
_ANSWERS, _SECONDS = 10, 3.0
"""After so many new answers, or so long after the first of them, the probe learns."""
_ROWS_SHOWN, _ROWS_AT_ONCE = 500, 64
"""After how many newly read rows all are scored; and how many are read before answers are looked for."""

_READS_LESS = "The probe reads less of rows than it could"

Told: TypeAlias = "tuple[Sequence[tuple[str, Inputs]], Sequence[tuple[str, Any]]] | ToldHiddenStates"


@dataclass(frozen=True, slots=True)
class ToldHiddenStates:
    """Hidden states that a pass has kept, of a model, by input hash."""

    model: str
    states: Mapping[str, bytes]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """What the process says instead of scores, if it cannot begin."""

    why: str


class ProbeProcess:
    """A task's probe. It is started at once, and reads rows in the order in which they are told.

    Args:
        task: The task, as `Task.to_dict` gives it.
        features: What is read of rows: one of `review_call.FEATURES`.
        encoder, model: The sentence encoder, and the language model whose hidden states are read, by reference.
        on_scores: Called with each new scores, in a thread of this object's. They have their hashes.
    """

    def __init__(
        self,
        task: Mapping[str, Any],
        features: str = AUTO,
        encoder: str = ENCODER,
        model: str = DEFAULT,
        *,
        on_scores: Callable[[Scores], None],
    ) -> None:
        self._opening = (dict(task), features, encoder, model)
        self._on_scores = on_scores
        self._lock = threading.Lock()
        self._rows: dict[str, Inputs] = {}
        self._answers: dict[str, Any] = {}
        self._outgoing: queue.Queue[Told | None] = queue.Queue()
        self._is_closed = False
        self._child: SpawnProcess | None = None
        self._status, self._missing = _why_none(task, features), ""
        self._thread: threading.Thread | None = None
        if not self._status:
            self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
            self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the process; None before it is started, and without one."""
        return self._child.pid if self._child else None

    def status(self) -> str:
        """Why there is no probe, or what it cannot read, in a sentence; empty while all is well."""
        return self._status or self._missing

    def tell(self, rows: Sequence[tuple[str, Inputs]] = (), answers: Sequence[tuple[str, Any]] = ()) -> None:
        """Gives it rows and answers, without waiting.

        Args:
            rows: Input hashes with their inputs, in the order in which to read them.
            answers: Input hashes of rows, each with the answer that it has now; None for one that was undone. None of
                them may be held out. Rows may be told later than their answers.
        """
        if self._status:
            return
        with self._lock:
            self._rows |= rows
            for input_hash, value in answers:
                self._answers[input_hash] = value
            self._outgoing.put((rows, answers))

    def tell_hidden_states(self, model: str, states: Mapping[str, bytes], *, is_last: bool) -> None:
        """Gives it hidden states of rows, without waiting. They are not kept here: a process that is started anew reads
        the embedded model's again.

        Args:
            model: The identity of the model that they are of.
            states: By input hash, float16 and little-endian.
            is_last: No more of them follow.
        """
        if not self._status and self._opening[1] in (AUTO, HIDDEN):
            with self._lock:
                self._outgoing.put(ToldHiddenStates(model, states, is_last))

    def close(self) -> None:
        """Ends the process. A second call does nothing."""
        with self._lock:
            self._is_closed = True
            if self._child:
                self._child.terminate()
        if self._thread:
            self._thread.join()

    def wait(self, seconds: float) -> None:
        """Waits until there is no process any more, or so long."""
        if self._thread:
            self._thread.join(seconds)

    def __enter__(self) -> "ProbeProcess":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _run(self) -> None:
        """What the thread does: starts the process, and reads what it says until it ends."""
        for _ in range(_STARTS):
            started = self._start()
            if started is None:
                return
            child, ours = started
            writer = threading.Thread(
                target=_write, args=(ours, self._outgoing), name="probe told", daemon=True
            )
            writer.start()
            with suppress(EOFError, OSError):
                self._read(ours)
            self._outgoing.put(None)
            child.join()
            writer.join()
            ours.close()
            if self._is_closed or self._status:
                return
        self._status = f"There is no probe: its process ended {_STARTS} times (exit code {child.exitcode})."

    def _start(self) -> tuple[SpawnProcess, Connection] | None:
        """The process, which first hears of everything that was told, and the connection; None after `close`."""
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        with self._lock:
            if self._is_closed:
                return None
            child = context.Process(
                target=serve_probe,
                args=(theirs, *self._opening),
                name="sparklabel probe",
                daemon=True,
            )
            child.start()
            early = [] if self._child else _states_in(self._outgoing)
            self._child = child
            self._outgoing = queue.Queue()
            self._outgoing.put((list(self._rows.items()), list(self._answers.items())))
            for states in early:
                self._outgoing.put(states)
        theirs.close()  # or nobody would hear of its end
        return child, ours

    def _read(self, connection: Connection) -> None:
        hashes: tuple[str, ...] | None = None
        while True:
            said = connection.recv()
            if isinstance(said, str):
                self._missing = said
                continue
            if isinstance(said, Ended):
                self._status = said.why
                return
            hashes = said.hashes or hashes
            self._on_scores(replace(said, hashes=hashes))


class Pace:
    """When scores are due. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self._new, self._oldest, self._shown = 0, 0.0, 0

    def answered(self, count: int, now: float) -> None:
        """So many new answers came."""
        if count and not self._new:
            self._oldest = now
        self._new += count

    def scored(self, readings: int) -> None:
        """All answers are learned, and all that so many readings gave is scored."""
        self._new, self._shown = 0, readings

    def is_due(self, now: float, readings: int, waiting: int) -> bool:
        """Whether to learn and score, when so many rows are read, and so many are still to be."""
        more = readings - self._shown
        is_late = self._new > 0 and now - self._oldest >= _SECONDS
        return self._new >= _ANSWERS or is_late or more >= _ROWS_SHOWN or (more > 0 and not waiting)

    def seconds_left(self, now: float) -> float | None:
        """How long to wait for more answers, if there is nothing else to do; None: for ever."""
        return max(0.0, self._oldest + _SECONDS - now) if self._new else None


def serve_probe(
    connection: Connection, task: Mapping[str, Any], features: str, encoder: str, model: str
) -> None:
    """What the process does until its parent is gone."""
    # Ctrl-C ends the server, which ends this process when all is saved.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
    with suppress(EOFError, OSError):
        from sparklabel.reviewing.probe.sources import open_sources  # the server must not load torch

        try:
            asked = task_from_dict(dict(task))
            sources = open_sources(asked, features, encoder, model)
        except SparklabelError as error:
            connection.send(Ended(f"There is no probe: {error}"))
            return
        if sources.missing:
            connection.send(f"{_READS_LESS}: {sources.missing}")
        _serve(connection, ProbeWorker(asked, sources.read, sources.names, sources.hidden_model))


def _serve(connection: Connection, worker: ProbeWorker) -> None:
    pace, shown = Pace(), None
    while True:
        now = time.monotonic()
        is_due = worker.featured > 0 and pace.is_due(now, worker.readings, worker.waiting)
        seconds_left = pace.seconds_left(now) if worker.featured else None
        wait = 0.0 if is_due or worker.waiting else seconds_left
        while connection.poll(wait):
            told = connection.recv()
            if isinstance(told, ToldHiddenStates):
                if why_not := worker.add_hidden_states(told.model, told.states, is_last=told.is_last):
                    connection.send(f"{_READS_LESS}: {why_not}")
            else:
                rows, answers = told
                worker.add_rows(rows)
                pace.answered(worker.answer(answers), time.monotonic())
            wait = 0.0
        if is_due:
            worker.read_answered(_ROWS_AT_ONCE)
            scores = worker.scores()
            connection.send(replace(scores, hashes=None) if scores.hashes == shown else scores)
            shown = scores.hashes
            pace.scored(worker.readings)
        else:
            worker.read_rows(_ROWS_AT_ONCE)


def _write(connection: Connection, outgoing: "queue.Queue[Told | None]") -> None:
    """A thread of its own: a process that learns does not read, and a full pipe would make people wait."""
    with suppress(OSError):
        while (told := outgoing.get()) is not None:
            connection.send(told)


def _states_in(outgoing: "queue.Queue[Told | None]") -> list[ToldHiddenStates]:
    """What was told of states before there was a process: unlike rows and answers, they are kept nowhere else."""
    told = [outgoing.get_nowait() for _ in range(outgoing.qsize())]
    return [one for one in told if isinstance(one, ToldHiddenStates)]


def _why_none(task: Mapping[str, Any], features: str) -> str:
    """Why there is no probe for a task; empty if there is one."""
    if features == NONE:
        return "There is no probe: it was switched off (features='none')."
    kind = task_from_dict(dict(task))
    if not isinstance(kind.answer_mode, Scored):
        return f"There is no probe: answers to a task of kind {kind.kind!r} are written, and a probe chooses."
    return ""
