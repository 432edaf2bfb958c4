"""The models and labelers that a process has loaded, kept for later batches, stages and jobs.

In: a spec, and what Spark gave its task. Out: a labeler, over an engine in this process or over one that all tasks on a
device share.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from sparklabel import registry
from sparklabel.engines import Engine, EngineSpec, ReadableEngine, engine_spec, names_devices, open_engine
from sparklabel.engines.server import CPU, ServingSpec, connect, evict, gpu_uuid, visible_gpu
from sparklabel.labeler import Labeler, PreparedTask, row_classifier
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.probe.hidden_states import HiddenStates
from sparklabel.tasks import Task
from sparklabel.udf.spec import LabelerSpec

_LABELERS_KEPT = 8
_ENGINES_KEPT = 2
"""Two, because two UDFs of one query use a worker in turn: with one, each task would load each model again."""


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


def task_slot() -> Slot:
    """What Spark assigned to the task that runs here; nothing outside of one."""
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        return Slot()
    gpus = context.resources().get("gpu")
    gpu = gpus.addresses[0] if gpus and gpus.addresses else ""
    return Slot(context.cpus(), gpu, (gpu_uuid(gpu) or gpu) if gpu else visible_gpu() or CPU)


def open_labeler(spec: LabelerSpec, slot: Slot = Slot()) -> Labeler:
    """The labeler of this process. Downloads and loads its model unless that was done before."""
    loaded = _load(spec.engine, spec.model, slot)
    if spec not in loaded.labelers:
        if len(loaded.labelers) >= _LABELERS_KEPT:  # each pass with new examples brings one
            del loaded.labelers[next(iter(loaded.labelers))]
        loaded.labelers[spec] = make_labeler(spec, loaded.engine)
    return loaded.labelers[spec]


def open_hidden_states(
    task: Task, base: ResolvedModel, engine: EngineSpec, slot: Slot = Slot()
) -> HiddenStates:
    """What reads the base's hidden states in this process. Downloads and loads it unless that was done before."""
    opened = _load(engine, base, slot).engine
    assert isinstance(opened, ReadableEngine), "an engine that gives hidden states"
    return HiddenStates(opened, PreparedTask.bare(task, opened.tokenizer).encoder)


def make_labeler(spec: LabelerSpec, engine: Engine) -> Labeler:
    """A labeler over an engine that belongs to the caller."""
    manifest, classifier = spec.manifest, None
    if manifest and manifest.classifier:
        files = registry.fetch(spec.model)
        classifier = row_classifier(spec.task, manifest.classifier, files.classifier, files.encoder, engine)
    return Labeler(
        spec.task, engine, model=spec.model.identity, manifest=manifest, calibrator=spec.calibrator,
        min_confidence=spec.min_confidence, examples=spec.examples, classifier=classifier,
        zero_shot=spec.zero_shot,
    )  # fmt: skip


def load_engine(engine: EngineSpec, model: ResolvedModel) -> Engine:
    """An engine in this process with its model loaded; downloads the model if this host does not have it."""
    base, adapter = _files(engine, model)
    if base and not engine.kind.on_cpu:
        vacate_gpu(dict(engine.options).get("device"))
    keeps_base = bool(model.manifest) and ModelManifest.from_json(model.manifest).reads_states
    return open_engine(engine, model.identity, base, adapter, keeps_base=keeps_base)


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


def drop_loaded() -> None:
    """Forgets all that this process has loaded: the next call loads again."""
    _loaded.clear()


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
