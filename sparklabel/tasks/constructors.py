"""The public functions that make tasks with scored answers: classification, multilabel, matching, rating."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

from sparklabel.errors import TaskError
from sparklabel.tasks.classification import Classification
from sparklabel.tasks.examples_from import ExamplesFrom
from sparklabel.tasks.label_options import NO_ORDER
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
    zero_shot: str | None = None,
) -> Task:
    """A task that gives every row one of `labels`.

    The value is a string, and always one of the labels.

    Args:
        name: The task's name, which also names its columns.
        inputs: The column to read, or a list of columns.
        labels: The labels, as a list or as a mapping label -> description.
        instructions: The guidelines that a person would get.
        examples: Worked examples, as pairs (text, label). For several inputs the text is a tuple of texts, or a
            mapping column -> text.
        examples_from: Takes examples from the human answers in a table instead: `(table, n, "similar")` shows each row
            the n most similar ones, `(table, n, "diverse")` shows every row the same n.
        on_too_long: What happens to a row that does not fit into the model's context: "cut" shortens its longest
            input, "fail" gives it the status `too_long`.
        prior: "content_free" corrects the bias of a model without fine-tuning toward some answers, as measured on an
            empty input.
        candidates: For more labels than a prompt can hold: how many of them each row's prompt lists, chosen by
            similarity to the row. By default all.
        zero_shot: What a model without fine-tuning is asked for: "lm", its own probabilities; "mixed", these without
            their prior and mixed with how near the row is to the labels' names and descriptions, by the sentence
            encoder. By default "mixed" for the embedded model if the task has neither examples nor candidates.

    Returns:
        The task, frozen.

    Raises:
        TaskError: The definition cannot work. The message lists every problem.

    Example:
        >>> task = classification("intent", "text", ["refund", "card_lost"], "What does the customer want?")
        >>> task.label_names
        ('refund', 'card_lost')
    """
    return Classification.build(
        kind="classification", name=name, inputs=_columns(inputs, "inputs", name), labels=labels,
        instructions=instructions, examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, prior=prior, candidates=candidates, zero_shot=zero_shot,
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
    """A task that gives every row those of `labels` that apply: any number of them, or none.

    The value is an array of strings, in the order of `labels`.

    Args:
        name: The task's name, which also names its columns.
        inputs: The column to read, or a list of columns.
        labels: The labels, as a list or as a mapping label -> description.
        instructions: The guidelines that a person would get.
        examples: Worked examples, as pairs (text, list of labels). For several inputs the text is a tuple of texts,
            or a mapping column -> text.
        examples_from: Takes examples from the human answers in a table instead: `(table, n, "similar")` shows each row
            the n most similar ones, `(table, n, "diverse")` shows every row the same n.
        on_too_long: What happens to a row that does not fit into the model's context: "cut" shortens its longest
            input, "fail" gives it the status `too_long`.
        prior: "content_free" corrects the bias of a model without fine-tuning toward some answers, as measured on an
            empty input.

    Returns:
        The task, frozen.

    Raises:
        TaskError: The definition cannot work. The message lists every problem.

    Example:
        >>> multilabel("topics", "text", ["sport", "money"], examples=[("The club was sold", ["sport", "money"])]).kind
        'multilabel'
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
    """A task that decides for every row whether two records in it describe the same thing.

    The value is a boolean. The task's inputs are the left columns, then the right ones.

    Args:
        name: The task's name, which also names its columns.
        left: The column of the first record, or a list of columns.
        right: The column of the second record, or a list of columns.
        instructions: The guidelines that a person would get.
        examples: Worked examples, as pairs (texts of all inputs, True or False).
        examples_from: Takes examples from the human answers in a table instead: `(table, n, "similar")` shows each row
            the n most similar ones, `(table, n, "diverse")` shows every row the same n.
        on_too_long: What happens to a row that does not fit into the model's context: "cut" shortens its longest
            input, "fail" gives it the status `too_long`.
        prior: "content_free" corrects the bias of a model without fine-tuning toward some answers, as measured on an
            empty input.

    Returns:
        The task, frozen.

    Raises:
        TaskError: The definition cannot work. The message lists every problem.

    Example:
        >>> matching("same_product", left="our_title", right="their_title").inputs
        ('our_title', 'their_title')
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
    """A task that gives every row a number on `scale`.

    The value is a double: the model's expectation, which may lie between points of the scale.

    Args:
        name: The task's name, which also names its columns.
        inputs: The column to read, or a list of columns.
        scale: (low, high), two whole numbers that include all whole numbers between them; or a list of numbers; or
            a mapping number -> description.
        instructions: The guidelines that a person would get.
        examples: Worked examples, as pairs (text, number of the scale). For several inputs the text is a tuple of
            texts, or a mapping column -> text.
        examples_from: Takes examples from the human answers in a table instead: `(table, n, "similar")` shows each row
            the n most similar ones, `(table, n, "diverse")` shows every row the same n.
        on_too_long: What happens to a row that does not fit into the model's context: "cut" shortens its longest
            input, "fail" gives it the status `too_long`.
        prior: "content_free" corrects the bias of a model without fine-tuning toward some answers, as measured on an
            empty input.

    Returns:
        The task, frozen.

    Raises:
        TaskError: The definition cannot work. The message lists every problem.

    Example:
        >>> rating("stars", "review", (1, 5)).points
        (1, 2, 3, 4, 5)
    """
    return Rating.build(
        kind="rating", name=name, inputs=_columns(inputs, "inputs", name),
        scale=dict(scale) if isinstance(scale, Mapping) else _tuple(scale, "scale", name),
        instructions=instructions, examples=_examples(examples, name), examples_from=examples_from,
        on_too_long=on_too_long, prior=prior,
    )  # fmt: skip


def _columns(columns: object, field: str, name: str) -> tuple[Any, ...]:
    """One column's name, or several, as a tuple."""
    return (columns,) if isinstance(columns, str) else _tuple(columns, field, name)


def _examples(examples: object, name: str) -> tuple[Any, ...]:
    return () if examples is None else _tuple(examples, "examples", name)


def _tuple(values: object, field: str, name: str) -> tuple[Any, ...]:
    if isinstance(values, Set):
        raise TaskError(f"The task {name!r} cannot be used: {field}: {NO_ORDER}.")
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        return tuple(values)
    raise TaskError(f"The task {name!r} cannot be used: {field} must be a list, not {values!r}.")
