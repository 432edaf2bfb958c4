"""The labeler in a Spark worker: asked batch by batch, and reopened if its engine dies.

In: a spec, and batches of inputs. Out: the labels of each batch. If the engine takes calls of several threads, the next
batches are under way while one is computed. Nothing is decided here about which rows are asked.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from sparklabel.engines.server import isolation_lock
from sparklabel.errors import EngineDied, EngineError
from sparklabel.labeler import Labeler, abstain_below
from sparklabel.labels.record import Label
from sparklabel.labels.status import ANSWERED, EMPTY_INPUT, ENGINE_DIED, RETRYABLE
from sparklabel.locks import held
from sparklabel.texts import well_formed
from sparklabel.udf.isolation import fatal_rows
from sparklabel.udf.loading import Slot, drop_loaded, open_labeler, task_slot
from sparklabel.udf.spec import LabelerSpec

if TYPE_CHECKING:
    import pyarrow as pa

_Row = Sequence[bytes | None]
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
_MAX_DEATHS = 8
"""An engine that died so often without any answer in between does not die of a row."""
_DEADLY = "the engine's process died each time that it was asked for this row alone"
_BATCHES_AHEAD = 2
"""Batches under way at once: one is computed while the next is rendered, or waits in the engine's queue."""


def label_batches(
    spec: LabelerSpec,
    batches: "Iterator[pa.StructArray]",
    arrow_type: "pa.DataType",
    with_threshold: bool = False,
) -> "Iterator[pa.Array]":
    """The labels of each batch of inputs, in order.

    An engine that dies is reopened and asked again, in ever smaller parts, for the rows that failed: a row at which it
    dies alone, twice, is a failure. `with_threshold`: the last field of a batch is each row's `min_confidence`, NULL
    for the spec's.
    """
    # Withholding looks at the finished label only, so rows with different thresholds are asked together.
    worker = _Cascade(spec, task_slot()) if spec.fallback else _Worker(spec.withholding(0.0), task_slot())

    def answer(batch: "pa.StructArray") -> "pa.Array":
        import pyarrow as pa

        columns = batch.flatten()
        thresholds = columns.pop().to_pylist() if with_threshold else [None] * len(batch)
        # As bytes: a Spark string can hold invalid UTF-8, and one such row must not fail the job.
        inputs = [column.cast(pa.binary()).to_pylist() for column in columns]
        wanted = [spec.min_confidence if least is None else least for least in thresholds]
        rows = list(zip(*inputs, strict=True))
        labels = worker.label(rows, wanted) if isinstance(worker, _Cascade) else worker.label(rows)
        labels = [abstain_below(label, least) for label, least in zip(labels, wanted, strict=True)]
        return _as_arrow(labels, arrow_type)

    return _ahead(answer, batches, _BATCHES_AHEAD if worker.takes_threads else 1)


class _Cascade:
    """Asks a model, and its fallback about the rows that it is not sure of."""

    def __init__(self, spec: LabelerSpec, slot: Slot) -> None:
        assert spec.fallback
        assert spec.fallback.below is not None, "a threshold that was not found"
        self._below = spec.fallback.below
        self._first = _Worker(replace(spec.withholding(0.0), fallback=None), slot)
        self._second = _Worker(spec.fallback.spec, slot)
        self._is_paid = spec.engine.kind.is_paid

    @property
    def takes_threads(self) -> bool:
        return self._first.takes_threads and self._second.takes_threads

    def label(self, rows: Sequence[_Row], wanted: Sequence[float]) -> list[Label]:
        """`wanted`: each row's `min_confidence`. An answer that would be withheld does not stand."""
        labels = self._first.label(rows)
        unsure = [
            number for number, (label, least) in enumerate(zip(labels, wanted, strict=True))
            if is_unsure(label, max(self._below, least))
        ]  # fmt: skip
        if unsure:
            for number, label in zip(unsure, self._second.label([rows[n] for n in unsure]), strict=True):
                labels[number] = self._settled(labels[number], label)
        return labels

    def _settled(self, first: Label, second: Label) -> Label:
        """The second one's label. If it has no answer and will not have one the next time, the first one's stays."""
        if first.status in ANSWERED and second.status not in (*ANSWERED, *RETRYABLE):
            note = f"asked of {second.model} as well: {second.error or second.status}"
            return replace(first, error="; ".join(filter(None, (first.error, note))))
        if not self._is_paid:
            return second
        return replace(
            second, prompt_tokens=(first.prompt_tokens or 0) + (second.prompt_tokens or 0),
            output_tokens=(first.output_tokens or 0) + (second.output_tokens or 0),
        )  # fmt: skip


def is_unsure(label: Label, below: float) -> bool:
    """Whether a fallback is asked. A model that failed may answer the next time, and a row without content has no
    answer: neither is worth another model's time."""
    if label.status in (*RETRYABLE, EMPTY_INPUT):
        return False
    return label.confidence is None or label.confidence < below


def _as_arrow(labels: Sequence[Label], arrow_type: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    records = [label.record() for label in labels]
    try:
        return pa.array(records, type=arrow_type)
    except UnicodeEncodeError:  # half a character in a reply must not cost the task all of its rows
        return pa.array(well_formed(records), type=arrow_type)


class _Worker:
    """Answers rows of one spec in this process. Several threads may call `label`."""

    def __init__(self, spec: LabelerSpec, slot: Slot) -> None:
        self._spec, self._slot, self._opening = spec, slot, Lock()
        self._last: Labeler | None = None
        self._deaths = 0

    @property
    def takes_threads(self) -> bool:
        engine = self._spec.engine
        return engine.kind.concurrent or engine.is_shared(on_gpu=self._slot.on_gpu)

    def label(self, rows: Sequence[_Row]) -> list[Label]:
        labels, lost = self._asked(rows)
        failed = _failed(labels)
        if lost and failed:
            if lost.engine_died:
                # One task at a time: they share the process, and one's row would kill the other's.
                model = self._spec.model.base or self._spec.model
                with held(isolation_lock(model.identity), "looks for a row", error=EngineError):
                    self._isolate(rows, labels, failed)
            else:  # it failed on each row alone
                self._ask_again(rows, labels, failed, 2)
        return labels

    def _isolate(self, rows: Sequence[_Row], labels: list[Label], failed: list[int]) -> None:
        """Asks again for the `failed` rows, and finds those that the engine died of."""

        def ask(numbers: Sequence[int], attempt: int) -> Sequence[int]:
            lost = self._ask_again(rows, labels, numbers, attempt)
            return [n for n in numbers if labels[n].status in RETRYABLE] if lost and lost.engine_died else []

        for number in fatal_rows(failed, ask, self._answers_others, lambda: self._deaths >= _MAX_DEATHS):
            labels[number] = replace(labels[number], status=ENGINE_DIED, error=_DEADLY)

    def _answers_others(self) -> bool:
        labels, _ = self._asked([[b"a"] * len(self._spec.task.inputs)])
        return not _failed(labels)

    def _ask_again(
        self, rows: Sequence[_Row], labels: list[Label], numbers: Sequence[int], attempt: int
    ) -> Labeler | None:
        """Puts the new labels of the rows with these numbers into `labels`; returns the labeler if it is lost."""
        found, lost = self._asked([rows[number] for number in numbers])
        for number, label in zip(numbers, found, strict=True):
            labels[number] = replace(label, attempts=attempt)
        return lost

    def _asked(self, rows: Sequence[_Row]) -> tuple[list[Label], Labeler | None]:
        """The labels, and the labeler if its engine is lost; the next call then opens another one."""
        labeler = self._opened()
        labels = labeler.label(rows)
        with self._opening:
            if any(label.attempts and label.status not in RETRYABLE for label in labels):
                self._deaths = 0
            if labeler.engine_lost and self._last is labeler:  # another thread may have opened a new one
                self._deaths += 1
                drop_loaded()
                labeler.release()
        return labels, labeler if labeler.engine_lost else None

    def _opened(self) -> Labeler:
        """The labeler. Raises what opening it raises, the first time only: a dead one's answers say why it died.

        An engine that dies while it is opened is opened again: another task's row may have killed it.
        """
        with self._opening:
            while True:
                try:
                    self._last = open_labeler(self._spec, self._slot)
                except EngineError as error:
                    died = isinstance(error, EngineDied)
                    if died:
                        drop_loaded()  # later tasks of this process would ask the dead one
                    self._deaths = self._deaths + 1 if died else _MAX_DEATHS
                    if self._deaths < _MAX_DEATHS:
                        continue
                    if self._last is None:
                        raise
                return self._last


def _failed(labels: Sequence[Label]) -> list[int]:
    return [number for number, label in enumerate(labels) if label.status in RETRYABLE]


def _ahead(work: Callable[[_Given], _Made], given: Iterator[_Given], number: int) -> Iterator[_Made]:
    """The results of `work` on each item, in order; `number` of them are under way at once."""
    if number == 1:
        yield from map(work, given)
        return
    with ThreadPoolExecutor(number) as pool:
        running: deque[Future[_Made]] = deque()
        try:
            for item in given:
                running.append(pool.submit(work, item))
                if len(running) == number:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
