"""A task tried on a few rows, with everything that the answer comes from: the prompt by its parts, the probabilities of
all choices, what calibration does, time and cost.

In: a task, a model's reference, rows of texts. Out: a `Trial`. It loads the model into this process, keeps it for the
next trial, and reads no table: the app runs it in a process of its own.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

from sparklabel.errors import TaskError
from sparklabel.labeling.options import Pricing
from sparklabel.labels.record import Label
from sparklabel.labels.status import ANSWERED
from sparklabel.prompts import PromptEncoder
from sparklabel.tasks import Scored, Task
from sparklabel.tasks.json_values import plain
from sparklabel.texts import counted
from sparklabel.udf import prepare
from sparklabel.udf.loading import open_labeler
from sparklabel.udf.spec import LabelerSpec, labeler_spec

MAX_ROWS = 20
"""Rows of a trial: a person looks at each."""


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A part of the prompt. `source`: "format" (the chat's own tokens), "instructions" (what all rows share) or
    "row"."""

    source: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedRow:
    """A row's answer and what it comes from.

    Attributes:
        inputs: The row.
        value, confidence, raw_confidence, status, error: As the label has them.
        choices: All choices with their probability, most probable first; empty for generated kinds.
        parts: The prompt; empty for a model that reads the texts themselves.
        prompt_tokens, output_tokens: Their numbers.
        is_cut: Whether the row was too long for the model's context.
        milliseconds: From the row to its answer, alone.
        cost_per_1000_rows: Of rows like this one; None without prices.
    """

    inputs: tuple[str, ...]
    value: Any
    confidence: float | None
    raw_confidence: float | None
    status: str
    error: str | None
    choices: tuple[tuple[str, float], ...]
    parts: tuple[ShownPart, ...]
    prompt_tokens: int
    output_tokens: int
    is_cut: bool
    milliseconds: float
    cost_per_1000_rows: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How many of people's held-out answers the model gave."""

    right: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a task and a model gave. `agreement` is None without answers to compare with."""

    task: str
    model: str
    rows: tuple[TriedRow, ...]
    agreement: Agreement | None = None


def try_task(
    task: Task,
    model: str,
    rows: Sequence[Sequence[str]],
    *,
    engine: str = "auto",
    pricing: Pricing | None = None,
    judged: Sequence[tuple[Sequence[str | None], Any]] = (),
) -> Trial:
    """Asks the model about each row.

    Args:
        task: The task, maybe not yet saved.
        model: A reference.
        rows: At most `MAX_ROWS`; one text per input each.
        engine: The engine's name.
        pricing: What computing costs; None: not known.
        judged: Inputs and people's answers, to count agreement on.

    Raises:
        TaskError: A row has not one text for each input of the task.
        TaskError, ModelError or SetupError: The task cannot be asked of this model.
    """
    if wrong := next((row for row in rows if len(row) != len(task.inputs)), None):
        raise TaskError(
            f"A row has {counted(len(wrong), 'text')}, and the task {task.name!r} reads {', '.join(task.inputs)}.",
            hint="Give one text for each input.",
        )
    spec = prepare(labeler_spec(task, model, engine, {})).spec
    labeler = open_labeler(spec)
    labeler.label([list(row) for row in rows[:1]])  # what all rows share is computed with the first one
    labeler.clear_memo()  # or a row tried again would take no time
    tried = []
    for row in rows[:MAX_ROWS]:
        started = time.monotonic()
        label = labeler.label([row])[0]
        seconds = time.monotonic() - started
        tried.append(_tried(spec, labeler, list(row), label, seconds, pricing or Pricing()))
    return Trial(
        task=task.name, model=spec.model.identity, rows=tuple(tried), agreement=_agreement(task, labeler, judged)
    )  # fmt: skip


def _tried(
    spec: LabelerSpec,
    labeler: Any,
    row: list[str],
    label: Label,
    seconds: float,
    pricing: Pricing,
) -> TriedRow:
    mode, encoder = spec.task.answer_mode, labeler.encoder
    is_rendered = label.prompt_tokens is not None
    prompt = encoder.encode([row])[0] if is_rendered else None
    tokens = (label.prompt_tokens or 0) + (label.output_tokens or 0)
    cost = pricing.of(seconds, tokens)
    return TriedRow(
        inputs=tuple(row), value=plain(label.value), confidence=label.confidence, raw_confidence=label.raw_confidence,
        status=label.status, error=label.error,
        choices=_choices(mode, labeler, row) if label.status in ANSWERED and isinstance(mode, Scored) else (),
        parts=_parts(encoder, row) if is_rendered else (),
        prompt_tokens=label.prompt_tokens or 0, output_tokens=label.output_tokens or 0,
        is_cut=bool(prompt and prompt.truncated), milliseconds=1000 * seconds,
        cost_per_1000_rows=None if cost is None else 1000 * cost,
    )  # fmt: skip


def _choices(mode: Scored, labeler: Any, row: list[str]) -> tuple[tuple[str, float], ...]:
    import numpy as np

    probabilities = np.exp(labeler.log_probabilities([row])[0])
    found = zip(mode.names, probabilities.tolist(), strict=True)
    return tuple(sorted(found, key=lambda choice: -choice[1]))


_SOURCES = {"special": "format", "plain": "instructions", "input": "row"}


@runtime_checkable
class _Decoder(Protocol):
    """A tokenizer that can say what its tokens are; some engines have none that does."""

    def decode(self, ids: Sequence[int]) -> str: ...
    def token_ends(self, ids: Sequence[int]) -> list[int]: ...


def _parts(encoder: Any, row: list[str]) -> tuple[ShownPart, ...]:
    if not isinstance(encoder, PromptEncoder) or not isinstance(encoder.tokenizer, _Decoder):
        return ()
    return tuple(
        ShownPart(_SOURCES[part.kind], _tokens(encoder.tokenizer, part.ids)) for part in encoder.parts(row)
    )


def _tokens(tokenizer: _Decoder, ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token; one that is a part of a character has none of its own."""
    text, ends = tokenizer.decode(ids), [0, *tokenizer.token_ends(ids)]
    return tuple(text[start:end] for start, end in pairwise(ends))


def _agreement(
    task: Task, labeler: Any, judged: Sequence[tuple[Sequence[str | None], Any]]
) -> Agreement | None:
    if not judged:
        return None
    labels = labeler.label([list(inputs) for inputs, _ in judged])
    mode = task.answer_mode
    right = sum(
        mode.agreement(answer, plain(label.value)) == 1
        for (_, answer), label in zip(judged, labels, strict=True)
        if label.status in ANSWERED
    )
    return Agreement(right=right, n=len(judged))
