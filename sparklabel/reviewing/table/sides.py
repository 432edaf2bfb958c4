"""What the server needs of the processes beside it: the table's side, and the live probe's.

In: nothing. Out: protocols, so that the server runs with a process, with a thread of a notebook, or with rows in
memory. Nothing here waits: answers of the table's side are futures, those of the probe's come by a callback.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from sparklabel.reviewing.records import Event, ReviewRow

if TYPE_CHECKING:
    from sparklabel.reviewing.insight.quality import JudgedLabel


class MergeResult(Protocol):
    """What a merge did: of the inputs that were not written why, by hash: one of `label_decisions.REFUSALS`."""

    @property
    def moved(self) -> Mapping[str, str]: ...


class TableSide(Protocol):
    """The table, in another process or thread. Requests are done one at a time, in order."""

    def check(self) -> "Future[None]":
        """Whether table, tasks, key and columns can be reviewed: raises TableError and its kin."""

    def load(self, task: str, rows: int, where: str | None) -> "Future[list[ReviewRow]]":
        """The rows to review: those that were drawn at random first."""

    def current(self, task: str, hashes: Sequence[str]) -> "Future[dict[str, ReviewRow]]":
        """These inputs as they are now; those that are gone or changed are missing."""

    def hidden_states_model(self, task: str) -> "Future[str]":
        """The model whose hidden states of rows a pass has kept; empty if none has."""

    def hidden_states(self, task: str, model: str, hashes: Sequence[str]) -> "Future[dict[str, bytes]]":
        """The kept states of these inputs: float16, little-endian. Those that have none are missing."""

    def append(self, task: str, events: Sequence[Event]) -> "Future[int]":
        """Adds events to the answers table, each once. The highest number that it holds then."""

    def merge(self, task: str, hashes: Sequence[str] | None) -> "Future[MergeResult]":
        """Makes the labels of these inputs, or of all, agree with the answers table."""

    def past(self, task: str) -> "Future[list[Event]]":
        """All events of the answers table."""

    def judged(self, task: str) -> "Future[list[JudgedLabel]]":
        """The rows that people answered, each with what the model had said."""

    def close(self) -> None:
        """Ends it."""


class ProbeSide(Protocol):
    """The live probe of one task, in another process. What it finds comes through the callback it was made with."""

    def tell(
        self,
        rows: Sequence[tuple[str, tuple[str | None, ...]]] = (),
        answers: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """Inputs to score, in the order in which they are wanted: hash and texts. Answers to learn from: hash and
        value, or None for one that is taken back; never those of held-out inputs."""

    def tell_hidden_states(self, model: str, states: Mapping[str, bytes], *, is_last: bool) -> None:
        """Hidden states of inputs, by hash, that a pass has kept of a model."""

    def status(self) -> str:
        """Why there is no probe, or what it cannot read, in a sentence; empty while all is well."""

    def close(self) -> None:
        """Ends it."""


class TableThread:
    """A table's side in a thread of this process: for a notebook, which has a Spark session.

    Args:
        worker: Has the methods of `TableSide`, which return results in place of futures.
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="review-table")

    def check(self) -> "Future[None]":
        return self._thread.submit(self._worker.check)

    def load(self, task: str, rows: int, where: str | None) -> "Future[list[ReviewRow]]":
        return self._thread.submit(self._worker.load, task, rows, where)

    def current(self, task: str, hashes: Sequence[str]) -> "Future[dict[str, ReviewRow]]":
        return self._thread.submit(self._worker.current, task, hashes)

    def hidden_states_model(self, task: str) -> "Future[str]":
        return self._thread.submit(self._worker.hidden_states_model, task)

    def hidden_states(self, task: str, model: str, hashes: Sequence[str]) -> "Future[dict[str, bytes]]":
        return self._thread.submit(self._worker.hidden_states, task, model, hashes)

    def append(self, task: str, events: Sequence[Event]) -> "Future[int]":
        return self._thread.submit(self._worker.append, task, events)

    def merge(self, task: str, hashes: Sequence[str] | None) -> "Future[MergeResult]":
        return self._thread.submit(self._worker.merge, task, hashes)

    def past(self, task: str) -> "Future[list[Event]]":
        return self._thread.submit(self._worker.past, task)

    def judged(self, task: str) -> "Future[list[JudgedLabel]]":
        return self._thread.submit(self._worker.judged, task)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
