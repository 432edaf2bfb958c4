"""The labeler inside Spark: a column function and SQL functions.

In: a task, a model, an engine. Out: a struct column, the label record (`label_ddl`). Rows of a table are not changed
here. The functions are nondeterministic to Spark, which would otherwise run the model once for each field that a query
reads.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from sparklabel import errors
from sparklabel.delta.session import check_session
from sparklabel.engines import EngineOptions
from sparklabel.labels.record import label_ddl
from sparklabel.models.references import DEFAULT
from sparklabel.progress import tell
from sparklabel.sql import quote, sql_string
from sparklabel.tasks import Task, load_task
from sparklabel.tasks.yaml_files import yaml_files
from sparklabel.texts import counted
from sparklabel.udf.prepare import prepare
from sparklabel.udf.spec import LabelerSpec, check_threshold, labeler_spec, with_fallback
from sparklabel.udf.worker import label_batches


def label_udf(
    task: Task,
    model: str = DEFAULT,
    engine: str | EngineOptions = "auto",
    *,
    min_confidence: float = 0.0,
    fallback: str | None = None,
    fallback_below: float | None = None,
    fallback_engine: str | EngineOptions | None = None,
    adopt_examples: bool = False,
    **options: Any,
) -> Callable[..., Column]:
    """A function of columns that labels each row: `label_udf(task)("text")`.

    The model is pinned when this is called, so that every executor loads the same one; so are the examples that the
    task takes from a table. Nothing is loaded or computed before Spark runs a query that reads the label.

    Args:
        task: What is asked of each row.
        model: The embedded model's name, a local folder, a hub id (`org/name`), an MLflow model
            (`models:/NAME@ALIAS`, `models:/NAME/VERSION`), or the name of a model behind HTTP (engine "openai").
        engine: "transformers" ("auto" is the same), "vllm", "openai" or "fake".
        min_confidence: In [0, 1]. An answer with less confidence gets a NULL value and the status `uncertain`; what
            the model would have said is the first of its `alternatives`.
        fallback: A second model, which is asked about what the first one is not sure of. Each label's `model` says who
            answered.
        fallback_below: The confidence below which it is asked, above 0 and at most 1.
        fallback_engine: Its engine, or the options of it; by default that of the first model, with its options.
        adopt_examples: Take examples (`examples_from`) also from a column that no pass wrote, as people's answers.
        **options: Options of the engine, for transformers: dtype, device, batch_tokens, threads, shared.

    Returns:
        A function that takes one column, or column name, for each of the task's inputs. It returns a struct column,
        the label record: `value`, `confidence`, `status`, `error`, `alternatives` and more. A row that cannot be
        answered has a NULL value and a status that says why; it does not fail the job.

    Raises:
        TaskError: The task cannot be asked of this model.
        ModelError: The model does not resolve, or was fine-tuned for another task.
        TableError: The table of the task's examples cannot be read.
        SetupError: The engine or an option does not exist, the fallback has no threshold, or something is not
            installed.

    Example:
        >>> task = sl.classification("verdict", "text", ["fresh", "rotten"])
        >>> label = sl.label_udf(task, model="any", engine="fake")
        >>> reviews = spark.createDataFrame([("a fresh start",)], ["text"])
        >>> reviews.select(label("text").value.alias("verdict")).first()
        Row(verdict='fresh')
    """
    spec = labeler_spec(task, model, engine, options, min_confidence)
    spec = with_fallback(spec, fallback, fallback_below, fallback_engine, engine, options)
    return udf_of(_prepared(spec, None, adopt_examples))


def _prepared(spec: LabelerSpec, spark: SparkSession | None, adopt_examples: bool) -> LabelerSpec:
    """The spec for workers. A function has no report, so what it reads of tables is told here."""
    check_threshold(spec)
    spec = prepare(spec, spark, adopt_examples=adopt_examples).spec
    if spec.examples:
        tell(f"the task {spec.task.name!r}: {spec.examples.sentence}")
    return spec


def udf_of(spec: LabelerSpec) -> Callable[..., Column]:
    """As `label_udf`, for a spec that is prepared already."""

    def label(*columns: Column | str) -> Column:
        inputs = spec.task.inputs
        if len(columns) != len(inputs):
            raise errors.ColumnError(
                f"The task {spec.task.name!r} reads {counted(len(inputs), 'column')}, and {len(columns)} were given.",
                hint=f"Give one for each of: {', '.join(inputs)}.",
            )
        if others := [c for c in columns if not isinstance(c, Column | str)]:
            raise errors.ColumnError(f"{others[0]!r} is neither a column nor the name of one.")
        result: Column = _arrow_udf(spec)(packed_inputs(spec.task, columns))
        return result

    return label


def packed_inputs(task: Task, columns: Sequence[Column | str]) -> Column:
    """The task's inputs as one struct of texts, from as many columns."""
    texts = (F.col(c) if isinstance(c, str) else c for c in columns)
    return F.struct(*(c.cast("string").alias(name) for c, name in zip(texts, task.inputs, strict=True)))


def register(
    spark: SparkSession,
    task: Task,
    model: str = DEFAULT,
    engine: str | EngineOptions = "auto",
    *,
    name: str | None = None,
    min_confidence: float = 0.0,
    fallback: str | None = None,
    fallback_below: float | None = None,
    fallback_engine: str | EngineOptions | None = None,
    adopt_examples: bool = False,
    **options: Any,
) -> str:
    """Makes the task a SQL function of this session: `SELECT label_intent(text).value FROM tickets`.

    Its parameters have the names of the task's inputs; the last one is `min_confidence`, which a query may set for
    each row: `label_intent(text => body, min_confidence => 0.8)`. A function of the same name is replaced.

    Args:
        spark: The session whose queries can call the function.
        task: What is asked of each row.
        model: As for `label_udf`.
        engine: As for `label_udf`.
        name: The function's name; `label_` and the task's name by default.
        min_confidence: In [0, 1]: the default of the function's parameter of this name.
        fallback, fallback_below, fallback_engine: As for `label_udf`.
        adopt_examples: As for `label_udf`.
        **options: Options of the engine, as for `label_udf`.

    Returns:
        The function's name.

    Raises:
        TaskError: The task cannot be asked of this model.
        ModelError: The model does not resolve, or was fine-tuned for another task.
        TableError: The table of the task's examples cannot be read.
        SetupError: The engine or an option does not exist, the fallback has no threshold, or something is not
            installed.

    Example:
        >>> task = sl.classification("verdict", "text", ["fresh", "rotten"])
        >>> sl.register(spark, task, model="any", engine="fake")
        'label_verdict'
        >>> spark.sql("SELECT label_verdict('a fresh start').value AS verdict").first()
        Row(verdict='fresh')
    """
    name = name or f"label_{task.name}"
    spec = labeler_spec(task, model, engine, options, min_confidence)
    spec = with_fallback(spec, fallback, fallback_below, fallback_engine, engine, options)
    spec = _prepared(spec, spark, adopt_examples)
    check_session(spark)
    spark.udf.register(f"_{name}", _arrow_udf(spec, with_threshold=True))
    columns = ", ".join(f"{quote(column)} STRING" for column in task.inputs)
    threshold = _free_name("min_confidence", task.inputs)
    parameters = f"{columns}, {threshold} DOUBLE DEFAULT {spec.min_confidence!r}D"
    of_row = quote(threshold)
    checked = (
        f"if({of_row} NOT BETWEEN 0 AND 1, "
        f"raise_error(concat('{threshold} => ', {of_row}, ' is not between 0 and 1')), {of_row})"
    )
    packed = ", ".join(
        f"{sql_string(column)}, {value}"
        for column, value in (*((name, quote(name)) for name in task.inputs), (threshold, checked))
    )
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
    *,
    min_confidence: float = 0.0,
    fallback: str | None = None,
    fallback_below: float | None = None,
    fallback_engine: str | EngineOptions | None = None,
    adopt_examples: bool = False,
    **options: Any,
) -> list[str]:
    """Makes each task of a folder a SQL function of this session, `label_` and the task's name.

    Args:
        spark: The session whose queries can call the functions.
        folder: A folder of tasks in YAML: its files that end in `.yaml` or `.yml`, without subfolders.
        model: The model of all functions, as for `label_udf`.
        engine: As for `label_udf`.
        min_confidence: In [0, 1]: the default of the functions' parameter of this name.
        fallback, fallback_below, fallback_engine: As for `label_udf`.
        adopt_examples: As for `label_udf`.
        **options: Options of the engine, as for `label_udf`.

    Returns:
        The functions' names, in the order of the files' names.

    Raises:
        TaskError: The folder has no tasks, or two of the same name, or a file that is not one.
        ModelError: The model does not resolve, or was fine-tuned for another task.
        TableError: The table of a task's examples cannot be read.
        SetupError: The engine or an option does not exist, the fallback has no threshold, or something is not
            installed.

    Example:
        >>> sl.register_all(spark, "conf/tasks", model="any", engine="fake")[:2]
        ['label_intent', 'label_invoice']
    """
    tasks: dict[str, Task] = {}
    for path in yaml_files(Path(folder), "tasks", errors.TaskError):
        task = load_task(path)
        if task.name in tasks:
            raise errors.TaskError(f"{path} has a task {task.name!r}, as another file of the folder does.")
        tasks[task.name] = task
    return [
        register(
            spark,
            task,
            model,
            engine,
            min_confidence=min_confidence,
            fallback=fallback,
            fallback_below=fallback_below,
            fallback_engine=fallback_engine,
            adopt_examples=adopt_examples,
            **options,
        )
        for task in tasks.values()
    ]


def _free_name(name: str, taken: Sequence[str]) -> str:
    """The name, with underscores before it as long as an input has it already; SQL ignores case."""
    return name if name.lower() not in {one.lower() for one in taken} else _free_name(f"_{name}", taken)


def _arrow_udf(spec: LabelerSpec, *, with_threshold: bool = False) -> Any:
    """An Arrow UDF of a struct of the inputs; `with_threshold`: its last field is each row's own `min_confidence`."""
    import pyarrow as pa
    from pyspark.sql.pandas import functions as pandas_functions
    from pyspark.sql.pandas.types import to_arrow_type
    from pyspark.sql.types import DataType

    return_type = DataType.fromDDL(label_ddl(spec.task.value_type))
    arrow_type = to_arrow_type(return_type, timezone="UTC")

    def label(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return label_batches(spec, batches, arrow_type, with_threshold)

    # pyspark's stubs do not have the kind of function that takes and returns an iterator of structs.
    arrow_udf: Any = pandas_functions.arrow_udf
    return arrow_udf(label, returnType=return_type).asNondeterministic()
