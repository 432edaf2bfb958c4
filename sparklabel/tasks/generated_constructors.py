"""The public functions that make tasks with generated answers: extraction, entities, answering, generation."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from sparklabel.tasks.answering import Answering
from sparklabel.tasks.constructors import ExampleSource, _columns, _examples
from sparklabel.tasks.entities import Entities
from sparklabel.tasks.extraction import Extraction
from sparklabel.tasks.generation import Generation
from sparklabel.tasks.task import Task


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
    """A task that extracts named fields from every row.

    The value is a struct. A field that the text does not mention is NULL.

    Args:
        name: The task's name, which also names its columns.
        inputs: The column to read, or a list of columns.
        fields: A mapping name -> type (string, integer, number, boolean, date), or name -> {type, description,
            options, nullable, many}; or a pydantic model; or a JSON schema.
        instructions: The guidelines that a person would get.
        examples: Worked examples, as pairs (text, {field: value}). For several inputs the text is a tuple of texts,
            or a mapping column -> text.
        examples_from: Takes examples from the human answers in a table instead: `(table, n, "similar")` shows each row
            the n most similar ones, `(table, n, "diverse")` shows every row the same n.
        on_too_long: What happens to a row that does not fit into the model's context: "cut" shortens its longest
            input, "fail" gives it the status `too_long`.
        max_tokens: The longest answer, in tokens. By default as many as such fields usually take.

    Returns:
        The task, frozen.

    Raises:
        TaskError: The definition cannot work. The message lists every problem.

    Example:
        >>> extraction("invoice", "text", {"vendor": "string", "total": "number"}).value_type
        'STRUCT<`vendor`: STRING, `total`: DOUBLE>'
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
    """A task that finds the entities of some `types` in one input.

    The value is an array of {text, type, start, end}. `start` and `end` count characters, as Python's slices do.

    Args:
        name: The task's name, which also names its columns.
        inputs: The column to read.
        types: The types of entities, as a list or as a mapping type -> description.
        instructions: The guidelines that a person would get.
        examples: Worked examples, as pairs (text, [{"text": ..., "type": ...}, ...]).
        examples_from: Takes examples from the human answers in a table instead: `(table, n, "similar")` shows each row
            the n most similar ones, `(table, n, "diverse")` shows every row the same n.
        on_too_long: What happens to a row that does not fit into the model's context: "cut" shortens its longest
            input, "fail" gives it the status `too_long`.
        max_entities: The most entities of one row. For long texts raise `max_tokens` with it.
        max_tokens: The longest answer, in tokens. An entity takes about 20.

    Returns:
        The task, frozen.

    Raises:
        TaskError: The definition cannot work. The message lists every problem.

    Example:
        >>> entities("names", "text", ["person", "place"]).type_names
        ('person', 'place')
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
    """A task that answers the question in one column from the context in another.

    The value is a string, or NULL if the context has no answer. The task's inputs are the question, then the context.

    Args:
        name: The task's name, which also names its columns.
        question: The column of questions.
        context: The column of contexts.
        instructions: The guidelines that a person would get.
        examples: Worked examples, as pairs ((question, context), answer or None).
        examples_from: Takes examples from the human answers in a table instead: `(table, n, "similar")` shows each row
            the n most similar ones, `(table, n, "diverse")` shows every row the same n.
        on_too_long: What happens to a row that does not fit into the model's context: "cut" shortens its longest
            input, "fail" gives it the status `too_long`.
        extractive: Whether answers are passages of the context, word for word. Other answers are then invalid.
        max_tokens: The longest answer, in tokens.

    Returns:
        The task, frozen.

    Raises:
        TaskError: The definition cannot work. The message lists every problem.

    Example:
        >>> answering("answer", question="question", context="article", extractive=True).inputs
        ('question', 'article')
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
    """A task that writes for every row what the instructions ask for.

    The value is a string; with `fields` it is a struct.

    Args:
        name: The task's name, which also names its columns.
        inputs: The column to read, or a list of columns.
        instructions: What to write.
        examples: Worked examples, as pairs (text, answer). For several inputs the text is a tuple of texts, or a
            mapping column -> text.
        examples_from: Takes examples from the human answers in a table instead: `(table, n, "similar")` shows each row
            the n most similar ones, `(table, n, "diverse")` shows every row the same n.
        on_too_long: What happens to a row that does not fit into the model's context: "cut" shortens its longest
            input, "fail" gives it the status `too_long`.
        fields: The fields of the value, as in `extraction`.
        max_tokens: The longest answer, in tokens.

    Returns:
        The task, frozen.

    Raises:
        TaskError: The definition cannot work. The message lists every problem.

    Example:
        >>> generation("summary", "text", "Summarize the text in one sentence.", max_tokens=64).value_type
        'STRING'
    """
    return Generation.build(
        kind="generation", name=name, inputs=_columns(inputs, "inputs", name), instructions=instructions,
        examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, max_tokens=max_tokens,
        **({} if fields is None else {"fields": fields}),
    )  # fmt: skip
