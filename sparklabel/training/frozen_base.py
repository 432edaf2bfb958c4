"""A language model that a classifier reads, and that is not trained.

In: a task, a pinned base. Out: its hidden states for rows, and how a version says which model it reads. Whether reading
it is quick enough where a classifier is fitted is decided here, too.
"""

from dataclasses import dataclass
from pathlib import Path

from sparklabel.engines import ReadableEngine, engine_spec
from sparklabel.engines.server import visible_gpu
from sparklabel.labeler import PreparedTask
from sparklabel.models import references
from sparklabel.models.references import ResolvedModel
from sparklabel.probe.hidden_states import HiddenStates
from sparklabel.tasks import Task
from sparklabel.udf import load_engine

_MOST_BYTES_ON_CPU = 2**30
"""Of weights. A model of so many is read at about a tenth of the speed of the embedded one, which takes a minute for
3,000 short rows."""


@dataclass(frozen=True, slots=True)
class FrozenBase:
    """A loaded base. `prepared`: the task as a fine-tuned model is asked it, without instructions."""

    base: ResolvedModel
    prepared: PreparedTask
    engine: ReadableEngine

    @classmethod
    def open(cls, task: Task, base: ResolvedModel) -> "FrozenBase":
        """Fetches and loads it, on a GPU if there is one. Raises ModelError, EngineError or TaskError."""
        engine = load_engine(engine_spec("auto", {}), base)
        assert isinstance(engine, ReadableEngine), "the transformers engine is"
        return cls(base, PreparedTask.bare(task, engine.tokenizer), engine)

    @property
    def states(self) -> HiddenStates:
        """What reads rows."""
        return HiddenStates(self.engine, self.prepared.encoder)


def is_quickly_read(base: ResolvedModel) -> bool:
    """Whether a classifier should read the base where this runs: there is a GPU, or the weights are small and here. A
    fine-tuned model is not read."""
    if base.source == "artifact":
        return False
    if visible_gpu():
        return True
    return (
        base.source in ("embedded", "folder") and _weight_bytes(references.fetch(base)) <= _MOST_BYTES_ON_CPU
    )


def _weight_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
