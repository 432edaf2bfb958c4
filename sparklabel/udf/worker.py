"""The labeler in a Spark worker: opened once, kept for later batches, stages and jobs, reopened if its engine dies.

In: a spec, and batches of inputs. Out: the labels of each batch. If the engine takes calls of several threads, the next
batches are under way while one is computed. Nothing is decided here about which rows are asked.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from sparklabel import registry
from sparklabel.engines import Engine, EngineSpec, engine_spec, names_devices, open_engine
from sparklabel.engines.server import CPU, ServingSpec, connect, evict, gpu_uuid, isolation_lock, visible_gpu
from sparklabel.errors import EngineDied, EngineError
from sparklabel.labeler import Labeler, abstain_below
from sparklabel.labels.record import Label
from sparklabel.labels.status import ENGINE_DIED, RETRYABLE
from sparklabel.locks import held
from sparklabel.models.references import ResolvedModel
from sparklabel.udf.isolation import fatal_rows
from sparklabel.udf.spec import LabelerSpec

if TYPE_CHECKING:
    import pyarrow as pa

_Row = Sequence[bytes | None]
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
_LABELERS_KEPT = 8
_ENGINES_KEPT = 2
"""Two, because two UDFs of one query use a worker in turn: with one, each task would load each model again."""
_MOST_DEATHS = 8
"""An engine that died so often without any answer in between does not die of a row."""
_DEADLY = "the engine's process died each time that it was asked for this row alone"
_BATCHES_AHEAD = 2
"""Batches under way at once: one is computed while the next is rendered, or waits in the engine's queue."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What Spark assigned to this task: a number of CPU cores, and the address of a GPU if it has one.

    `device` is the UUID of that GPU (its address if no driver gives one), or else of a GPU that is visible anyway, or
    "cpu".
    """

    cores: int | None = None
    gpu: str = ""
    device: str = CPU

    @property
    def on_gpu(self) -> bool:
        return self.device != CPU


def open_labeler(spec: LabelerSpec, slot: Slot = Slot()) -> Labeler:
    """The labeler of this process. Downloads and loads its model unless that was done before."""
    loaded = _load(spec.engine, spec.model, slot)
    if spec not in loaded.labelers:
        if len(loaded.labelers) >= _LABELERS_KEPT:  # each pass with new examples brings one
            del loaded.labelers[next(iter(loaded.labelers))]
        loaded.labelers[spec] = make_labeler(spec, loaded.engine)
    return loaded.labelers[spec]


def make_labeler(spec: LabelerSpec, engine: Engine) -> Labeler:
    """A labeler over an engine that belongs to the caller."""
    return Labeler(
        spec.task, engine, model=spec.model.identity, manifest=spec.manifest, calibrator=spec.calibrator,
        min_confidence=spec.min_confidence, examples=spec.examples,
    )  # fmt: skip


def load_engine(engine: EngineSpec, model: ResolvedModel) -> Engine:
    """An engine in this process with its model loaded; downloads the model if this host does not have it."""
    base, adapter = _files(engine, model)
    if base:
        vacate_gpu(dict(engine.options).get("device"))
    return open_engine(engine, model.identity, base, adapter)


def vacate_gpu(device: str | None = None) -> None:
    """Frees the GPU for a model that this process is about to load: an earlier pass's shared engine may still hold it.

    `device` is torch's name of it, None for the default. Raises EngineError if that engine is computing.
    """
    kind, _, number = (device or "cuda").partition(":")
    if kind == "cuda" and (uuid := visible_gpu(int(number or 0))):
        evict(uuid)


def _reach_engine(engine: EngineSpec, model: ResolvedModel, slot: Slot) -> Engine:
    """The engine that all tasks on the device share, in a process that is started if it does not run yet.

    A GPU that Spark assigned and torch does not find is an error: a pass on the CPU would silently take days.
    """
    base = model.base or model
    found = {"device": "cuda"} if slot.gpu and "device" in engine.kind.options else {}
    engine = engine_spec(engine.name, found | dict(engine.kind.when_shared) | dict(engine.options))
    folder, adapter = _files(engine, model)
    return connect(ServingSpec(engine, base.identity, folder, slot.device), adapter)


def _files(engine: EngineSpec, model: ResolvedModel) -> tuple[Path | None, Path | None]:
    """The folders of base and adapter on this host; None for an engine that needs no files."""
    if not engine.kind.needs_files:
        return None, None
    files = registry.fetch(model)
    return files.base, files.adapter


@dataclass(slots=True)
class _Loaded:
    """A loaded model, and the labelers that ask it; they are dropped together."""

    engine: Engine
    labelers: dict[LabelerSpec, Labeler]


_loaded: dict[tuple[EngineSpec, ResolvedModel, Slot], _Loaded] = {}
"""The most recently used one is last."""


def _load(engine: EngineSpec, model: ResolvedModel, slot: Slot) -> _Loaded:
    if found := _loaded.pop((engine, model, slot), None):
        _loaded[engine, model, slot] = found
        return found
    alone = slot.on_gpu and any(_fills_gpu(one) for one in (engine, *(key[0] for key in _loaded)))
    while len(_loaded) > (0 if alone else _ENGINES_KEPT - 1):  # before the next takes memory
        del _loaded[next(iter(_loaded))]
    if engine.is_shared(on_gpu=slot.on_gpu):
        opened = _reach_engine(engine, model, slot)
    else:
        opened = load_engine(_in_slot(engine, slot), model)
    return _loaded.setdefault((engine, model, slot), _Loaded(opened, {}))


def _fills_gpu(engine: EngineSpec) -> bool:
    return engine.kind.fills_gpu and not engine.is_shared(on_gpu=True)


def _in_slot(engine: EngineSpec, slot: Slot) -> EngineSpec:
    """The engine with the threads and the GPU of its Spark task: workers share a machine, and start with
    OMP_NUM_THREADS=1."""
    if slot.gpu and "device" not in engine.kind.options and not names_devices(dict(engine.options)):
        os.environ["CUDA_VISIBLE_DEVICES"] = slot.device  # read when CUDA is first used
    given = {"threads": slot.cores, "device": f"cuda:{slot.gpu}" if slot.gpu else None}
    known = engine.kind.options if engine.kind.task_threads else {}
    options = {name: value for name, value in given.items() if value is not None and name in known}
    return engine_spec(engine.name, options | dict(engine.options))


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
    worker = _Worker(spec.withholding(0.0) if with_threshold else spec, _slot())

    def answer(batch: "pa.StructArray") -> "pa.Array":
        import pyarrow as pa

        columns = batch.flatten()
        thresholds = columns.pop().to_pylist() if with_threshold else []
        # As bytes: a Spark string can hold invalid UTF-8, and one such row must not fail the job.
        inputs = [column.cast(pa.binary()).to_pylist() for column in columns]
        labels = worker.label(list(zip(*inputs, strict=True)))
        if with_threshold:
            wanted = (spec.min_confidence if least is None else least for least in thresholds)
            labels = [abstain_below(label, least) for label, least in zip(labels, wanted, strict=True)]
        return pa.array([label.record() for label in labels], type=arrow_type)

    return _ahead(answer, batches, _BATCHES_AHEAD if worker.takes_threads else 1)


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

        for number in fatal_rows(failed, ask, self._answers_others, lambda: self._deaths >= _MOST_DEATHS):
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
                _loaded.clear()
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
                        _loaded.clear()  # later tasks of this process would ask the dead one
                    self._deaths = self._deaths + 1 if died else _MOST_DEATHS
                    if self._deaths < _MOST_DEATHS:
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


def _slot() -> Slot:
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        return Slot()
    gpus = context.resources().get("gpu")
    gpu = gpus.addresses[0] if gpus and gpus.addresses else ""
    return Slot(context.cpus(), gpu, (gpu_uuid(gpu) or gpu) if gpu else visible_gpu() or CPU)
