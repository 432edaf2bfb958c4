"""The labeler in a Spark worker: opened once, kept for the next batches, stages and jobs, and opened anew when it dies.

In: a spec, and batches of inputs. Out: the labels of each batch. With an engine that several threads may ask, the next
batches are on their way while one is computed.
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
from sparklabel.engines.server import CPU, ServingSpec, connect, evict, gpu_uuid, visible_gpu
from sparklabel.errors import EngineError
from sparklabel.labeler import Labeler, abstain_below
from sparklabel.labels.record import Label
from sparklabel.labels.status import RETRYABLE
from sparklabel.models.references import ResolvedModel
from sparklabel.udf.spec import LabelerSpec

if TYPE_CHECKING:
    import pyarrow as pa

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
_LABELERS_KEPT = 8
_ENGINES_KEPT = 2
"""A worker that two UDFs of one query use in turn would load each model again for each task."""
_BATCHES_AHEAD = 2
"""Batches under way at once. One is computed while the next is rendered, or waits where the engine takes it from."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What Spark gave this task: how many CPU cores, and the address of its GPU where it has one. `device` is that
    GPU's UUID (its address where no driver tells of one), or the UUID of a GPU which is there anyway, or "cpu"."""

    cores: int | None = None
    gpu: str = ""
    device: str = CPU

    @property
    def on_gpu(self) -> bool:
        return self.device != CPU


def open_labeler(spec: LabelerSpec, slot: Slot = Slot()) -> Labeler:
    """The labeler of this process; its model is fetched to this host and loaded where it is not there yet."""
    loaded = _load(spec.engine, spec.model, slot)
    if spec not in loaded.labelers:
        if len(loaded.labelers) >= _LABELERS_KEPT:  # each pass with new examples brings one
            del loaded.labelers[next(iter(loaded.labelers))]
        loaded.labelers[spec] = make_labeler(spec, loaded.engine)
    return loaded.labelers[spec]


def make_labeler(spec: LabelerSpec, engine: Engine) -> Labeler:
    """A labeler over an engine that the caller keeps."""
    return Labeler(
        spec.task, engine, model=spec.model.identity, manifest=spec.manifest, calibrator=spec.calibrator,
        min_confidence=spec.min_confidence, examples=spec.examples,
    )  # fmt: skip


def load_engine(engine: EngineSpec, model: ResolvedModel) -> Engine:
    """An engine in this process with its model, fetched to this host where it is not there yet."""
    base, adapter = _files(engine, model)
    if base:
        vacate_gpu(dict(engine.options).get("device"))
    return open_engine(engine, model.identity, base, adapter)


def vacate_gpu(device: str | None = None) -> None:
    """Makes room on the GPU for what is to be loaded in this process: the engine that an earlier pass shared may still
    wait there. `device` as torch names it, None for the default. Raises EngineError where that engine computes."""
    kind, _, number = (device or "cuda").partition(":")
    if kind == "cuda" and (uuid := visible_gpu(int(number or 0))):
        evict(uuid)


def _reach_engine(engine: EngineSpec, model: ResolvedModel, slot: Slot) -> Engine:
    """The engine that all tasks on the device share, in a process that is started where it does not run yet. Where
    Spark gave a GPU that the library does not find, that is an error: a pass on the CPU would take days unseen."""
    base = model.base or model
    found = {"device": "cuda"} if slot.gpu and "device" in engine.kind.options else {}
    engine = engine_spec(engine.name, found | dict(engine.kind.when_shared) | dict(engine.options))
    folder, adapter = _files(engine, model)
    return connect(ServingSpec(engine, base.identity, folder, slot.device), adapter)


def _files(engine: EngineSpec, model: ResolvedModel) -> tuple[Path | None, Path | None]:
    """The folders of base and adapter on this host, for an engine that needs any."""
    if not engine.kind.needs_files:
        return None, None
    files = registry.fetch(model)
    return files.base, files.adapter


@dataclass(slots=True)
class _Loaded:
    """A loaded model, and the labelers of what is asked of it: they go when it goes."""

    engine: Engine
    labelers: dict[LabelerSpec, Labeler]


_loaded: dict[tuple[EngineSpec, ResolvedModel, Slot], _Loaded] = {}
"""The latest last."""


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
    """An engine in a worker gets what its task has: Spark gives workers OMP_NUM_THREADS=1, and many share a machine."""
    if slot.gpu and "device" not in engine.kind.options and not names_devices(dict(engine.options)):
        os.environ["CUDA_VISIBLE_DEVICES"] = slot.device  # read where CUDA is first used
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
    """The labels of each batch of inputs, in order. An engine that dies is opened anew once for each batch: the rows
    that it failed on are asked again, and are failures if that one dies too. `with_threshold`: the last field of a
    batch is each row's `min_confidence`, NULL for the spec's."""
    # What is withheld is seen in the finished label: rows of different thresholds are asked together.
    worker = _Worker(spec.withholding(0.0) if with_threshold else spec, _slot())

    def answer(batch: "pa.StructArray") -> "pa.Array":
        import pyarrow as pa

        columns = batch.flatten()
        thresholds = columns.pop().to_pylist() if with_threshold else []
        # As bytes: a Spark string may hold invalid UTF-8, and one such row must not fail the job.
        inputs = [column.cast(pa.binary()).to_pylist() for column in columns]
        labels = worker.label(list(zip(*inputs, strict=True)))
        if with_threshold:
            wanted = (spec.min_confidence if least is None else least for least in thresholds)
            labels = [abstain_below(label, least) for label, least in zip(labels, wanted, strict=True)]
        return pa.array([label.record() for label in labels], type=arrow_type)

    return _ahead(answer, batches, _BATCHES_AHEAD if worker.takes_threads else 1)


class _Worker:
    """What this process answers a spec with. Several threads may ask."""

    def __init__(self, spec: LabelerSpec, slot: Slot) -> None:
        self._spec, self._slot, self._opening = spec, slot, Lock()
        self._last: Labeler | None = None

    @property
    def takes_threads(self) -> bool:
        engine = self._spec.engine
        return engine.kind.concurrent or engine.is_shared(on_gpu=self._slot.on_gpu)

    def label(self, rows: Sequence[Sequence[bytes | None]]) -> list[Label]:
        labels, died = self._asked(rows)
        failed = [number for number, label in enumerate(labels) if label.status in RETRYABLE] if died else []
        if failed:
            again, _ = self._asked([rows[number] for number in failed])
            for number, label in zip(failed, again, strict=True):
                labels[number] = replace(label, attempts=2)
        return labels

    def _asked(self, rows: Sequence[Sequence[bytes | None]]) -> tuple[list[Label], bool]:
        """The labels, and whether the engine was given up: the next call opens another."""
        labeler = self._opened()
        labels = labeler.label(rows)
        if labeler.engine_lost:
            with self._opening:
                if self._last is labeler:  # another thread may have opened a new one
                    _loaded.clear()
                    labeler.release()
        return labels, labeler.engine_lost

    def _opened(self) -> Labeler:
        """Raises what opening raises the first time; later the dead labeler's answers say why it died."""
        with self._opening:
            try:
                self._last = open_labeler(self._spec, self._slot)
            except EngineError:
                if self._last is None:
                    raise
            return self._last


def _ahead(work: Callable[[_Given], _Made], given: Iterator[_Given], number: int) -> Iterator[_Made]:
    """`work` on each, in order; so many are under way at once."""
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
