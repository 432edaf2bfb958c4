"""Hidden states of rows, read in Spark's workers with the engines that label them.

In: columns of texts. Out: a BINARY column: float16, little-endian, as many numbers as `HiddenStates` gives for a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column

from sparklabel.engines import EngineSpec
from sparklabel.errors import SetupError
from sparklabel.models.references import ResolvedModel
from sparklabel.tasks import Task
from sparklabel.udf.functions import packed_inputs
from sparklabel.udf.loading import open_states, task_slot
from sparklabel.udf.spec import LabelerSpec

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class StatesSpec:
    """What travels to the workers: whose states are read, with which engine, of a task's rows."""

    task: Task
    base: ResolvedModel
    engine: EngineSpec

    @classmethod
    def of(cls, spec: LabelerSpec) -> "StatesSpec":
        """What reads rows with the language model that labels them; of a fine-tuned one, its base. Raises SetupError if
        there is none, or its engine gives no hidden states."""
        manifest = spec.manifest
        if not spec.engine.kind.is_readable or (manifest and not manifest.needs_language_model):
            raise SetupError(
                f"features=True keeps hidden states of a language model under engine='transformers', and "
                f"{spec.model.identity} is asked with {spec.engine.name!r}.",
                hint="Leave features= out: a review reads rows with the embedded model by itself.",
            )
        return cls(spec.task, spec.model.base or spec.model, spec.engine)


def hidden_states_of(spec: StatesSpec) -> Column:
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


def _read(spec: StatesSpec, batches: "Iterator[pa.StructArray]") -> "Iterator[pa.Array]":
    import pyarrow as pa

    states = open_states(spec.task, spec.base, spec.engine, task_slot())
    for batch in batches:
        columns = [column.cast(pa.binary()).to_pylist() for column in batch.flatten()]
        rows = [
            [(text or b"").decode(errors="replace") for text in row] for row in zip(*columns, strict=True)
        ]
        found: list[bytes] = []
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            read = states(rows[first : first + _ROWS_AT_ONCE]).astype("<f2")
            found += [row.tobytes() for row in read]
        yield pa.array(found, pa.binary())
