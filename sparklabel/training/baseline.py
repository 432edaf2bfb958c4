"""Whom a new version has to beat: the champion, else the base, else the most frequent answer.

In: a task, the base, a champion's version number. Out: an `Baseline` that has been found, fetched and checked, so that
a long training does not end at a champion that nobody can load. Tokenizers are read for it; no weights are loaded.
"""

from dataclasses import dataclass

from sparklabel import registry
from sparklabel.engines import engine_spec
from sparklabel.errors import ModelError, ModelUnreachable, TaskError
from sparklabel.few_shot import ExampleSet
from sparklabel.models.references import ResolvedModel
from sparklabel.tasks import Task
from sparklabel.udf import LabelerSpec, prepare

MOST_FREQUENT = "the most frequent answer"


@dataclass(frozen=True, slots=True)
class Baseline:
    """`name` is for reports; `note` says why it is not one that comes before it, or is empty.

    Without a `model` it gives every input the answer that is most frequent in training.
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
    """The champion (a version number), where it can still be served and answers this task; else the base, zero-shot.

    A base that cannot be asked (the instructions do not fit its context) gives way to the most frequent answer: a
    fine-tuned model needs no instructions, so such a task must not be refused; and a new version should not become
    the champion for beating nothing. Raises ModelError for the base, and for a champion whose files cannot be fetched
    at the moment: an outage must not make a champion of who beats the base. SetupError where MLflow is not there.
    """
    notes = []
    if champion is not None:
        try:
            model = registry.resolve(f"models:/{registered_name}/{champion}")
            registry.fetch(model)
            prepare(_spec(task, model))
            return Baseline("the champion", model)
        except ModelUnreachable as error:
            raise ModelUnreachable(
                f"The champion, version {champion} of {registered_name}, is to be beaten: {error.message}",
                hint="Try again. If its files are gone for good, take the alias `champion` from it first.",
            ) from error
        except (ModelError, TaskError) as error:
            notes.append(f"The champion, version {champion}, was not asked: {error.message}")
    try:
        prepare(_spec(task, base, examples))
        return Baseline("the base", base, " ".join(notes))
    except TaskError as error:
        notes.append(f"The base was not asked: {error.message}")
    return Baseline(MOST_FREQUENT, None, " ".join(notes))


def _spec(task: Task, model: ResolvedModel, examples: ExampleSet | None = None) -> LabelerSpec:
    return LabelerSpec(task, model, engine_spec("auto", {}), examples=examples)
