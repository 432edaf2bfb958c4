"""The labeler inside Spark: a column function, and a SQL function.

In: a task, a model, an engine. Out: a struct column, the record of labels.py. What travels to the workers is a small
spec; each Python worker loads the model once and keeps it for the next batches, stages and jobs. The function is
marked nondeterministic, or Spark would run the model once for each field that a query reads.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from sparklabel import errors, registry
from sparklabel.calibrators import Calibrator
from sparklabel.cards import ModelCard
from sparklabel.engines import Engine, EngineSpec, engine_spec, open_engine
from sparklabel.example_source import pinned_examples
from sparklabel.few_shot import ExampleSet
from sparklabel.labeler import Labeler, Question
from sparklabel.labels import label_ddl, quote, sql_string
from sparklabel.prompts import Tokenizer
from sparklabel.references import DEFAULT, ResolvedModel, tokenizer_folder
from sparklabel.tasks import Task, check_task

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class LabelerSpec:
    """Everything a worker needs to build the labeler. Picklable; equal specs share one loaded model."""

    task: Task
    model: ResolvedModel
    engine: EngineSpec
    calibrator: Calibrator | None = None
    min_confidence: float = 0.0
    examples: ExampleSet | None = None

    @property
    def card(self) -> ModelCard | None:
        """What a fine-tuned model carries; None for others."""
        return ModelCard.from_json(self.model.card) if self.model.card else None

    @property
    def decision(self) -> str:
        """How probabilities become answers, as a short hash: the calibrator, and what is withheld. Empty where answers
        are the model's own."""
        if self.calibrator is None and not self.min_confidence:
            return ""
        content = [self.min_confidence, self.calibrator.to_dict() if self.calibrator else None]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """That of the task as the model is asked it: a fine-tuned one goes by its card's prompt."""
        return card.task_fingerprint if (card := self.card) else self.task.fingerprint


def labeler_spec(
    task: Task,
    model: str | ResolvedModel,
    engine: str,
    options: dict[str, Any],
    min_confidence: float = 0.0,
) -> LabelerSpec:
    """Pins the model and checks that it fits the task, before anything is loaded; with the calibrator that was fitted
    for them last.

    Raises ModelError, SetupError or TaskError. Engines without files take any text for a model.
    """
    check_task(task)
    if not (isinstance(min_confidence, int | float) and 0 <= min_confidence <= 1):
        raise errors.SetupError(f"min_confidence={min_confidence!r} is not between 0 and 1.")
    chosen = engine_spec(engine, options)
    named = chosen.kind.named
    if named and isinstance(model, str):
        resolved = ResolvedModel(model, "folder", named.identity(model, dict(chosen.options)), "")
    else:
        resolved = model if isinstance(model, ResolvedModel) else registry.resolve(model)
    spec = LabelerSpec(task, resolved, chosen, min_confidence=float(min_confidence))
    if card := spec.card:
        card.check_fits(task, resolved.identity)
    return replace(spec, calibrator=registry.find_calibrator(resolved.identity, spec.fingerprint))


def with_examples(spec: LabelerSpec, spark: SparkSession | None = None) -> LabelerSpec:
    """The same with the examples that its task takes from a table, pinned now; `spark` is the active session unless it
    is given. A fine-tuned model reads none. Raises TableError, ColumnError or SetupError."""
    return spec if spec.card else replace(spec, examples=pinned_examples(spark, spec.task))


def check_askable(spec: LabelerSpec) -> None:
    """Raises TaskError or ModelError where the task cannot be asked of this model: its instructions do not fit, its
    labels are the same tokens, its card is another tokenizer's, its engine cannot ask such choices. Reads the
    tokenizer, no weights."""
    question = Question.of(spec.task, _tokenizer(spec), spec.card, spec.model.identity, spec.examples)
    if question.labels:
        spec.engine.kind.check(question.labels)


def _tokenizer(spec: LabelerSpec) -> Tokenizer:
    if named := spec.engine.kind.named:
        return named.tokenizer(dict(spec.engine.options))
    from sparklabel.language_model import ModelTokenizer

    return ModelTokenizer.load(tokenizer_folder(spec.model))


_LABELERS_KEPT = 8


def open_labeler(spec: LabelerSpec) -> Labeler:
    """The labeler of this process; its model is fetched to this host and loaded where it is not there yet."""
    loaded = _loaded(spec.engine, spec.model)
    if spec not in loaded.labelers:
        if len(loaded.labelers) >= _LABELERS_KEPT:  # each pass with new examples brings one
            del loaded.labelers[next(iter(loaded.labelers))]
        loaded.labelers[spec] = make_labeler(spec, loaded.engine)
    return loaded.labelers[spec]


def make_labeler(spec: LabelerSpec, engine: Engine) -> Labeler:
    """A labeler over an engine that the caller keeps."""
    return Labeler(
        spec.task, engine, model=spec.model.identity, card=spec.card, calibrator=spec.calibrator,
        min_confidence=spec.min_confidence, examples=spec.examples,
    )  # fmt: skip


def load_engine(engine: EngineSpec, model: ResolvedModel) -> Engine:
    """An engine with its model, fetched to this host where it is not there yet."""
    if not engine.kind.needs_files:
        return open_engine(engine, model.identity, None, None)
    files = registry.materialise(model)
    return open_engine(engine, model.identity, files.base, files.adapter)


@dataclass(slots=True)
class _Loaded:
    """A loaded model, and the labelers of what is asked of it: they go when it goes."""

    engine: Engine
    labelers: dict[LabelerSpec, Labeler]


@lru_cache(maxsize=2)
def _loaded(engine: EngineSpec, model: ResolvedModel) -> _Loaded:
    return _Loaded(load_engine(engine, model), {})


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
    task: Task, model: str = DEFAULT, engine: str = "auto", *, min_confidence: float = 0.0, **options: Any
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
    engine: str = "auto",
    *,
    name: str | None = None,
    min_confidence: float = 0.0,
    **options: Any,
) -> str:
    """Makes the task a SQL function of this session, `label_<task>` unless `name` says otherwise; gives its name.

    `SELECT label_intent(text).value FROM tickets`. Its parameters are named as the task's inputs. Raises ModelError,
    EngineError, TaskError or TableError.
    """
    name = name or f"label_{task.name}"
    spec = with_examples(labeler_spec(task, model, engine, options, min_confidence), spark)
    check_askable(spec)
    spark.udf.register(f"_{name}", _arrow_udf(spec))
    parameters = ", ".join(f"{quote(column)} STRING" for column in task.inputs)
    packed = ", ".join(f"{sql_string(column)}, {quote(column)}" for column in task.inputs)
    spark.sql(
        f"CREATE OR REPLACE TEMPORARY FUNCTION {quote(name)}({parameters}) "
        f"RETURNS {label_ddl(task.value_type)} RETURN {quote('_' + name)}(named_struct({packed}))"
    )
    return name


def _arrow_udf(spec: LabelerSpec) -> Any:
    import pyarrow as pa
    from pyspark.sql.pandas import functions as pandas_functions
    from pyspark.sql.pandas.types import to_arrow_type
    from pyspark.sql.types import DataType

    return_type = DataType.fromDDL(label_ddl(spec.task.value_type))
    arrow_type = to_arrow_type(return_type, timezone="UTC")

    def label(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return label_batches(_with_task_threads(spec), batches, arrow_type)

    # Its stubs know no iterator that returns structs.
    arrow_udf: Any = pandas_functions.arrow_udf
    return arrow_udf(label, returnType=return_type).asNondeterministic()


def label_batches(
    spec: LabelerSpec, batches: "Iterator[pa.StructArray]", arrow_type: "pa.DataType"
) -> "Iterator[pa.Array]":
    """The labels of each batch of inputs. An engine that is dead answers its batch with errors, and is then dropped:
    the next batch, or the next job of this worker, loads anew."""
    labeler: Labeler | None = None
    for batch in batches:
        labeler = labeler or open_labeler(spec)  # an empty partition loads no model
        answers = _label_batch(labeler, batch, arrow_type)
        if labeler.gave_up:
            labeler = None
            _loaded.cache_clear()
        yield answers


def _label_batch(labeler: Labeler, batch: "pa.StructArray", arrow_type: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    # As bytes: a Spark string may hold invalid UTF-8, and one such row must not fail the job.
    inputs = [column.cast(pa.binary()).to_pylist() for column in batch.flatten()]
    labels = labeler.label(list(zip(*inputs, strict=True)))
    return pa.array([asdict(label) for label in labels], type=arrow_type)


def _with_task_threads(spec: LabelerSpec) -> LabelerSpec:
    """Torch gets the cores of its task slot: Spark gives workers OMP_NUM_THREADS=1, and 2 slots share the machine."""
    from pyspark import TaskContext

    context = TaskContext.get()
    if not spec.engine.kind.task_threads or context is None or "threads" in dict(spec.engine.options):
        return spec
    options = dict(spec.engine.options) | {"threads": context.cpus()}
    return replace(spec, engine=engine_spec(spec.engine.name, options))
