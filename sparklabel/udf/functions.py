"""The labeler inside Spark: a column function, and a SQL function.

In: a task, a model, an engine. Out: a struct column, the record of labels.py. The function is marked nondeterministic,
or Spark would run the model once for each field that a query reads.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from sparklabel import errors
from sparklabel.engines import EngineOptions
from sparklabel.labels.record import label_ddl
from sparklabel.models.references import DEFAULT
from sparklabel.sql import quote, sql_string
from sparklabel.tasks import Task, load_task
from sparklabel.udf.spec import LabelerSpec, check_askable, labeler_spec, with_examples
from sparklabel.udf.worker import label_batches


@contextmanager
def worker_errors() -> Iterator[None]:
    """Inside, what we raise in a worker comes out of Spark's actions as itself: Spark has its text only."""
    from pyspark.errors import PythonException

    try:
        yield
    except PythonException as error:
        found = _OURS.search(str(error))
        cls = getattr(errors, found[1], None) if found else None
        if found is None or cls is None:
            raise
        raise cls(found[2], hint=(found[3] or "").strip()) from None


_OURS = re.compile(r"^sparklabel\.errors\.(\w+): (.*)(?:\n  (.*))?", re.MULTILINE)


def label_udf(
    task: Task,
    model: str = DEFAULT,
    engine: str | EngineOptions = "auto",
    *,
    min_confidence: float = 0.0,
    **options: Any,
) -> Callable[..., Column]:
    """A function of columns, one per input of the task, that gives the label: `label_udf(task)("text")`.

    The result is a struct: `.value`, `.confidence`, `.status` and the rest of the record. Answers with less than
    `min_confidence` are withheld (status `uncertain`, the best guess in `alternatives`). `options` go to the engine
    (transformers: dtype, device, batch_tokens, threads). The model is pinned now, so that every executor uses the
    same one, and so are the examples that the task takes from a table. Raises ModelError, SetupError, TaskError or
    TableError.
    """
    spec = with_examples(labeler_spec(task, model, engine, options, min_confidence))
    check_askable(spec)
    return udf_of(spec)


def udf_of(spec: LabelerSpec) -> Callable[..., Column]:
    """`label_udf` for a spec that was made before."""

    def label(*columns: Column | str) -> Column:
        inputs = spec.task.inputs
        if len(columns) != len(inputs):
            raise errors.ColumnError(
                f"The task {spec.task.name!r} reads {len(inputs)} column(s), and {len(columns)} were given.",
                hint=f"Give one for each of: {', '.join(inputs)}.",
            )
        texts = (F.col(c) if isinstance(c, str) else c for c in columns)
        packed = F.struct(*(c.cast("string").alias(name) for c, name in zip(texts, inputs, strict=True)))
        result: Column = _arrow_udf(spec)(packed)
        return result

    return label


def register(
    spark: SparkSession,
    task: Task,
    model: str = DEFAULT,
    engine: str | EngineOptions = "auto",
    *,
    name: str | None = None,
    min_confidence: float = 0.0,
    **options: Any,
) -> str:
    """Makes the task a SQL function of this session, `label_<task>` unless `name` says otherwise; gives its name.

    `SELECT label_intent(text).value FROM tickets`. Its parameters are named as the task's inputs, and the last is
    `min_confidence`, by default the one given here: `label_intent(text => body, min_confidence => 0.8)`. Raises
    ModelError, SetupError, TaskError or TableError.
    """
    name = name or f"label_{task.name}"
    spec = with_examples(labeler_spec(task, model, engine, options, min_confidence), spark)
    check_askable(spec)
    spark.udf.register(f"_{name}", _arrow_udf(spec, with_threshold=True))
    columns = ", ".join(f"{quote(column)} STRING" for column in task.inputs)
    threshold = _free_name("min_confidence", task.inputs)
    parameters = f"{columns}, {threshold} DOUBLE DEFAULT {spec.min_confidence!r}D"
    packed = ", ".join(f"{sql_string(column)}, {quote(column)}" for column in (*task.inputs, threshold))
    spark.sql(
        f"CREATE OR REPLACE TEMPORARY FUNCTION {quote(name)}({parameters}) "
        f"RETURNS {label_ddl(task.value_type)} RETURN {quote('_' + name)}(named_struct({packed}))"
    )
    return name


def register_all(
    spark: SparkSession,
    folder: str | Path,
    model: str = DEFAULT,
    engine: str | EngineOptions = "auto",
    **options: Any,
) -> list[str]:
    """Makes each task of a folder (its YAML files) a SQL function of this session, `label_<task>`; gives their names.

    Raises TaskError where there are no tasks, or two of the same name, and what `register` raises.
    """
    files = sorted(path for path in Path(folder).glob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    if not files:
        raise errors.TaskError(f"There are no tasks in {folder}: no file that ends in .yaml.")
    tasks: dict[str, Task] = {}
    for path in files:
        task = load_task(path)
        if task.name in tasks:
            raise errors.TaskError(f"{path} has a task {task.name!r}, as another file of the folder does.")
        tasks[task.name] = task
    return [register(spark, task, model, engine, **options) for task in tasks.values()]


def _free_name(name: str, taken: Sequence[str]) -> str:
    """The name, with a line before it where an input has it already."""
    return name if name.lower() not in {one.lower() for one in taken} else _free_name(f"_{name}", taken)


def _arrow_udf(spec: LabelerSpec, *, with_threshold: bool = False) -> Any:
    """Of a struct of the inputs; `with_threshold`: and, as its last field, each row's own `min_confidence`."""
    import pyarrow as pa
    from pyspark.sql.pandas import functions as pandas_functions
    from pyspark.sql.pandas.types import to_arrow_type
    from pyspark.sql.types import DataType

    return_type = DataType.fromDDL(label_ddl(spec.task.value_type))
    arrow_type = to_arrow_type(return_type, timezone="UTC")

    def label(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return label_batches(spec, batches, arrow_type, with_threshold)

    # Its stubs know no iterator that returns structs.
    arrow_udf: Any = pandas_functions.arrow_udf
    return arrow_udf(label, returnType=return_type).asNondeterministic()
