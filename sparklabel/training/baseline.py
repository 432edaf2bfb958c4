"""What a new version has to beat: the champion, else the base, else the most frequent answer.

In: a task, the base, a champion's version number. Out: a `Baseline` that was found, fetched and checked before a long
training starts. Tokenizers are read for that; no weights are loaded.
"""

from dataclasses import dataclass

from sparklabel import registry
from sparklabel.engines import engine_spec
from sparklabel.errors import ModelError, ModelUnreachable, TaskError
from sparklabel.few_shot import ExampleSet
from sparklabel.models.references import ResolvedModel
from sparklabel.tasks import Task
from sparklabel.udf import LabelerSpec, engine_of, prepare, zero_shot_of

CHAMPION, BASE, MOST_FREQUENT = "the champion", "the base", "the most frequent answer"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a new version has to beat.

    Attributes:
        name: What reports call it: CHAMPION, BASE or MOST_FREQUENT.
        model: The model to ask. None: every input gets the answer that is most frequent in training.
        note: Why a better baseline was passed over; empty if none was.
    """

    name: str
    model: ResolvedModel | None
    note: str = ""


def find_baseline(
    task: Task,
    base: ResolvedModel,
    registered_name: str,
    champion: str | None,
    examples: ExampleSet | None = None,
) -> Baseline:
    """The champion, if it can still be served and answers this task; else the base, zero-shot.

    If the base cannot be asked (the instructions do not fit its context), it is the most frequent answer. A fine-tuned
    model needs no instructions, so such a task must not be refused; but a new version should not become the champion
    for beating nothing.

    Args:
        task: What the models are asked.
        base: The model that the new version is trained from.
        registered_name: The registered model that has the champion.
        champion: The champion's version number; None if there is none.
        examples: The examples that the base is asked with.

    Raises:
        ModelUnreachable: The champion's files cannot be downloaded now. An outage must not make a new version the
            champion for beating the base.
        ModelError: The base does not load.
        SetupError: MLflow is not available.
    """
    notes = []
    if champion is not None:
        try:
            model = registry.resolve(f"models:/{registered_name}/{champion}")
            registry.fetch(model)
            prepare(judged_spec(task, model))
            return Baseline(CHAMPION, model)
        except ModelUnreachable as error:
            raise ModelUnreachable(
                f"The champion, version {champion} of {registered_name}, has to be beaten, but: {error.message}",
                hint="Try again later. If its files are gone for good, remove its alias `champion` first.",
            ) from error
        except (ModelError, TaskError) as error:
            notes.append(f"The champion, version {champion}, was not asked: {error.message}")
    try:
        prepare(judged_spec(task, base, examples))
        return Baseline(BASE, base, " ".join(notes))
    except TaskError as error:
        notes.append(f"The base was not asked: {error.message}")
    return Baseline(MOST_FREQUENT, None, " ".join(notes))


def judged_spec(task: Task, model: ResolvedModel, examples: ExampleSet | None = None) -> LabelerSpec:
    """What asks a model that is judged: its own engine, without a calibrator and without a threshold."""
    engine = engine_of(model, engine_spec("auto", {}))
    return LabelerSpec(task, model, engine, examples=examples, zero_shot=zero_shot_of(task, model))
