"""One function per kind: what people write in Python, made into a task.

In: column names, labels, instructions and examples, in any of the forms that their docstrings name. Out: a frozen
task. Everything wrong with the definition is raised as one TaskError.

In all of them `inputs` names the columns to read, a name or a list of names; `instructions` are the guidelines a
person would get; `examples` are pairs (text, answer), with a tuple of texts or a mapping column -> text for several
inputs. `examples_from=(table, n, "similar" | "diverse")`, or a mapping of table, count and choice, takes n human
answers of a table as examples instead. `prior="content_free"` corrects a zero-shot model's lean to some answers. A row
that is too long for the model's context has its longest input cut; with `on_too_long="fail"` it is not answered.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from sparklabel.errors import TaskError
from sparklabel.tasks.answering import Answering
from sparklabel.tasks.classification import Classification
from sparklabel.tasks.entities import Entities
from sparklabel.tasks.examples_from import ExamplesFrom
from sparklabel.tasks.extraction import Extraction
from sparklabel.tasks.generation import Generation
from sparklabel.tasks.matching import Matching
from sparklabel.tasks.multilabel import Multilabel
from sparklabel.tasks.rating import Rating
from sparklabel.tasks.task import Task

ExampleSource = tuple[str, int, str] | Mapping[str, Any] | ExamplesFrom


def classification(
    name: str,
    inputs: str | Iterable[str],
    labels: Iterable[str] | Mapping[str, str],
    instructions: str = "",
    examples: Iterable[Any] | None = None,
    *,
    examples_from: ExampleSource | None = None,
    on_too_long: str = "cut",
    prior: str | None = None,
    candidates: int | None = None,
) -> Task:
    """A task that gives every row one of `labels`.

    `inputs` names the columns to read; `labels` is a list, or a mapping label -> description; `instructions` are the
    guidelines a person would get; `examples` are pairs (text, label), with a tuple of texts or a mapping column -> text
    for several inputs; `examples_from=(table, n, "similar" | "diverse")` takes n human answers of a table instead.
    `prior="content_free"` corrects a zero-shot model's lean to one label. Where the labels are too many for a prompt,
    `candidates` says how many each row is offered: those nearest to it in meaning. Raises TaskError.
    """
    return Classification.build(
        kind="classification", name=name, inputs=_columns(inputs, "inputs", name), labels=labels,
        instructions=instructions, examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, prior=prior, candidates=candidates,
    )  # fmt: skip


def multilabel(
    name: str,
    inputs: str | Iterable[str],
    labels: Iterable[str] | Mapping[str, str],
    instructions: str = "",
    examples: Iterable[Any] | None = None,
    *,
    examples_from: ExampleSource | None = None,
    on_too_long: str = "cut",
    prior: str | None = None,
) -> Task:
    """A task that gives every row those of `labels` that apply: any number of them, none too.

    As `classification`, with a list of labels as the answer of an example. Raises TaskError.
    """
    return Multilabel.build(
        kind="multilabel", name=name, inputs=_columns(inputs, "inputs", name), labels=labels,
        instructions=instructions, examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, prior=prior,
    )  # fmt: skip


def matching(
    name: str,
    left: str | Iterable[str],
    right: str | Iterable[str],
    instructions: str = "",
    examples: Iterable[Any] | None = None,
    *,
    examples_from: ExampleSource | None = None,
    on_too_long: str = "cut",
    prior: str | None = None,
) -> Task:
    """A task that says of every row whether two records in it describe the same thing: True or False.

    `left` and `right` name the columns of each record; the task's inputs are the left ones, then the right ones.
    `examples` are pairs (texts of all inputs, True or False). Raises TaskError.
    """
    return Matching.build(
        kind="matching", name=name, left=_columns(left, "left", name), right=_columns(right, "right", name),
        instructions=instructions, examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, prior=prior,
    )  # fmt: skip


def rating(
    name: str,
    inputs: str | Iterable[str],
    scale: Iterable[float] | Mapping[float, str],
    instructions: str = "",
    examples: Iterable[Any] | None = None,
    *,
    examples_from: ExampleSource | None = None,
    on_too_long: str = "cut",
    prior: str | None = None,
) -> Task:
    """A task that gives every row a number on `scale`: the model's expectation, which may lie between its points.

    `scale` is (low, high), two whole numbers that stand for all between them too; or a list of numbers; or a mapping
    number -> description. `examples` are pairs (text, number of the scale). Raises TaskError.
    """
    return Rating.build(
        kind="rating", name=name, inputs=_columns(inputs, "inputs", name),
        scale=dict(scale) if isinstance(scale, Mapping) else _tuple(scale, "scale", name),
        instructions=instructions, examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, prior=prior,
    )  # fmt: skip


def extraction(
    name: str,
    inputs: str | Iterable[str],
    fields: Mapping[str, Any] | type[BaseModel],
    instructions: str = "",
    examples: Iterable[Any] | None = None,
    *,
    examples_from: ExampleSource | None = None,
    on_too_long: str = "cut",
    max_tokens: int | None = None,
) -> Task:
    """A task that reads named fields off every row; the value is a struct, a field that the text does not give null.

    `fields` is a mapping name -> type (string, integer, number, boolean, date), or name -> {type, description,
    options, nullable, many}; or a pydantic model; or a JSON schema. `examples` are pairs (text, {field: value}).
    `max_tokens` bounds an answer; without it, as many as such fields usually take. Raises TaskError.
    """
    return Extraction.build(
        kind="extraction", name=name, inputs=_columns(inputs, "inputs", name), fields=fields,
        instructions=instructions, examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, max_tokens=max_tokens,
    )  # fmt: skip


def entities(
    name: str,
    inputs: str | Iterable[str],
    types: Iterable[str] | Mapping[str, str],
    instructions: str = "",
    examples: Iterable[Any] | None = None,
    *,
    examples_from: ExampleSource | None = None,
    on_too_long: str = "cut",
    max_entities: int = 24,
    max_tokens: int = 512,
) -> Task:
    """A task that finds the entities of some `types` in one input: an array of {text, type, start, end}.

    `types` is a list, or a mapping type -> description. `start` and `end` count characters, as Python's slices do.
    `examples` are pairs (text, [{"text": ..., "type": ...}, ...]). A row has `max_entities` at most; who raises that
    for long texts raises `max_tokens` too. Raises TaskError.
    """
    return Entities.build(
        kind="entities", name=name, inputs=_columns(inputs, "inputs", name), types=types,
        instructions=instructions, examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, max_entities=max_entities, max_tokens=max_tokens,
    )  # fmt: skip


def answering(
    name: str,
    question: str,
    context: str,
    instructions: str = "",
    examples: Iterable[Any] | None = None,
    *,
    examples_from: ExampleSource | None = None,
    on_too_long: str = "cut",
    extractive: bool = False,
    max_tokens: int = 128,
) -> Task:
    """A task that answers the question in one column from the context in another; None where the context has no answer.

    The inputs are the question, then the context; `examples` are pairs ((question, context), answer or None). With
    `extractive` the answer is a passage of the context; one that is not there makes the answer invalid. Raises
    TaskError.
    """
    return Answering.build(
        kind="answering", name=name, inputs=(question, context), instructions=instructions,
        examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, extractive=extractive, max_tokens=max_tokens,
    )  # fmt: skip


def generation(
    name: str,
    inputs: str | Iterable[str],
    instructions: str,
    examples: Iterable[Any] | None = None,
    *,
    examples_from: ExampleSource | None = None,
    on_too_long: str = "cut",
    fields: Mapping[str, Any] | type[BaseModel] | None = None,
    max_tokens: int = 256,
) -> Task:
    """A task that does with every row what the instructions say: it writes a text, or with `fields` a struct.

    `fields` are those of `extraction`; `examples` are pairs (text, answer). Raises TaskError.
    """
    return Generation.build(
        kind="generation", name=name, inputs=_columns(inputs, "inputs", name), instructions=instructions,
        examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, max_tokens=max_tokens,
        **({} if fields is None else {"fields": fields}),
    )  # fmt: skip


def _columns(columns: object, field: str, name: str) -> tuple[Any, ...]:
    """A column's name, or several."""
    return (columns,) if isinstance(columns, str) else _tuple(columns, field, name)


def _examples(examples: object, name: str) -> tuple[Any, ...]:
    return () if examples is None else _tuple(examples, "examples", name)


def _tuple(values: object, field: str, name: str) -> tuple[Any, ...]:
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        return tuple(values)
    raise TaskError(f"The task {name!r} is not usable: {field} must be a list, not {values!r}.")
