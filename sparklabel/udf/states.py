"""Hidden states of rows, read in Spark's workers with the engines that label them.

In: columns of texts. Out: a BINARY column: float16, little-endian, as many numbers as `HiddenStates` gives for a
row; NULL for one on which the model fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column

from sparklabel.engines import EngineSpec
from sparklabel.errors import EngineError, SetupError, TaskError
from sparklabel.models.references import ResolvedModel
from sparklabel.probe.hidden_states import HiddenStates, to_float16
from sparklabel.tasks import Scored, Task
from sparklabel.udf.functions import packed_inputs
from sparklabel.udf.loading import open_hidden_states, task_slot
from sparklabel.udf.spec import LabelerSpec

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class HiddenStatesSpec:
    """What travels to the workers: whose states are read, with which engine, of a task's rows."""

    task: Task
    base: ResolvedModel
    engine: EngineSpec

    @classmethod
    def of(cls, spec: LabelerSpec) -> "HiddenStatesSpec":
        """What reads rows with the language model that labels them; of a fine-tuned one, its base. Raises SetupError if
        there is none, or its engine gives no hidden states, and TaskError for a task whose review has no probe."""
        manifest, task = spec.manifest, spec.task
        if not isinstance(task.answer_mode, Scored):
            raise TaskError(
                f"features=True keeps what a review's probe reads, and {task.name!r} has none: answers to a task of "
                f"kind {task.kind!r} are written.",
                hint="Leave features= out for this task.",
            )
        if not spec.engine.kind.is_readable or (manifest and not manifest.needs_language_model):
            raise SetupError(
                f"features=True keeps hidden states of a language model under engine='transformers', and "
                f"{task.name!r} is asked of {spec.model.identity} with {spec.engine.name!r}.",
                hint="Leave features= out: a review reads rows with the embedded model by itself.",
            )
        return cls(task, spec.model.base or spec.model, spec.engine)


def hidden_states_of(spec: HiddenStatesSpec) -> Column:
    """The column, of columns that are named as the task's inputs."""
    import pyarrow as pa
    from pyspark.sql.pandas import functions as pandas_functions

    def read(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return _read(spec, batches)

    arrow_udf: Any = pandas_functions.arrow_udf  # as in `functions`
    column: Column = arrow_udf(read, returnType="binary").asNondeterministic()(
        packed_inputs(spec.task, spec.task.inputs)
    )
    return column


def _read(spec: HiddenStatesSpec, batches: "Iterator[pa.StructArray]") -> "Iterator[pa.Array]":
    import pyarrow as pa

    states = open_hidden_states(spec.task, spec.base, spec.engine, task_slot())
    for batch in batches:
        columns = [column.cast(pa.binary()).to_pylist() for column in batch.flatten()]
        rows = [
            [(text or b"").decode(errors="replace") for text in row] for row in zip(*columns, strict=True)
        ]
        found: list[bytes | None] = []
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            found += packed(states, rows[first : first + _ROWS_AT_ONCE])
        yield pa.array(found, pa.binary())


def packed(states: HiddenStates, rows: list[list[str]]) -> list[bytes | None]:
    """The states of rows; None for one on which the model fails by itself."""
    try:
        return [row.tobytes() for row in to_float16(states(rows))]
    except EngineError:
        if len(rows) == 1:
            return [None]
        half = len(rows) // 2
        return packed(states, rows[:half]) + packed(states, rows[half:])
