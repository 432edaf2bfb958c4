"""A labeler made ready on the driver: its examples are pinned, and its task is rendered for the model's tokenizer.

In: a `LabelerSpec` (task, pinned model, engine). Out: a `PreparedLabeler`, or an error that says why the model cannot
be asked this task. A tokenizer is read; no weights are loaded, and no table is written.
"""

from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.labeler import PreparedTask
from sparklabel.labeler.zero_shot import MIXED, ordered
from sparklabel.models.shipped_encoder import check_installed
from sparklabel.prompts import Tokenizer, candidate_labels
from sparklabel.table.examples import pinned_examples
from sparklabel.udf.spec import ENCODER_ENGINE, LabelerSpec


@dataclass(frozen=True, slots=True)
class PreparedLabeler:
    """`spec` travels to the workers, with its examples; `tasks` stay on the driver: the same task, rendered for the
    model, and for its fallback."""

    spec: LabelerSpec
    tasks: tuple[PreparedTask, ...]


def prepare(
    spec: LabelerSpec, spark: SparkSession | None = None, *, adopt_examples: bool = False
) -> PreparedLabeler:
    """Pins the examples that the task takes from a table, and checks that the model can be asked the task.

    Args:
        spec: From `labeler_spec`. Examples that it has already are kept; a fine-tuned model reads none.
        spark: The session that reads the examples; the active one by default.
        adopt_examples: Take them also from a column that no pass wrote, as people's answers.

    Returns:
        The spec as it travels to the workers, and the task rendered for the model's tokenizer.

    Raises:
        TaskError: The instructions do not fit the model's context, two labels are the same tokens, or the engine
            cannot ask such choices.
        ModelError: The fine-tuned model's manifest belongs to another task or tokenizer.
        TableError: The table of the examples cannot be read, or a column is missing (ColumnError).
        SetupError: The encoder that chooses examples is not installed, or there is no session to read them with.
    """
    spec, fallback = _with_examples(spec, spark, adopt_examples), spec.fallback
    if fallback is None:
        return PreparedLabeler(spec, (_check_askable(spec),))
    second = prepare(fallback.spec, spark, adopt_examples=adopt_examples)
    spec = replace(spec, fallback=replace(fallback, spec=second.spec))
    return PreparedLabeler(spec, (_check_askable(spec), *second.tasks))


def _with_examples(spec: LabelerSpec, spark: SparkSession | None, adopt: bool) -> LabelerSpec:
    """The first half of `prepare`: the spec with the task's examples, read now."""
    if spec.manifest:
        return spec
    if candidate_labels(spec.task):
        check_installed()
    if spec.examples is not None:
        return spec
    return replace(spec, examples=pinned_examples(spark, spec.task, adopt))


def _check_askable(spec: LabelerSpec) -> PreparedTask:
    """The second half of `prepare`: the task rendered, or the error that says why it cannot be asked."""
    task = ordered(spec.task) if spec.zero_shot == MIXED else spec.task
    prepared = PreparedTask.of(task, _tokenizer(spec), spec.manifest, spec.model.identity, spec.examples)
    if prepared.label_trie:
        spec.engine.kind.check(prepared.label_trie)
    return prepared


def _tokenizer(spec: LabelerSpec) -> Tokenizer:
    if named := spec.engine.kind.named:
        return named.tokenizer(dict(spec.engine.options))
    from sparklabel.language_model import EncoderTokenizer, ModelTokenizer

    folder = registry.tokenizer_folder(spec.model)
    return (
        EncoderTokenizer.load(folder) if spec.engine.name == ENCODER_ENGINE else ModelTokenizer.load(folder)
    )
