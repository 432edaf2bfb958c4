"""A cell of a benchmark: one model on one data set, untrained or taught by a number of answers.

In: a set's rows, an entry, a number. Out: a `Cell`, which is kept as JSON: a benchmark that was killed goes on with the
cells that it has not. Nothing is registered or promoted.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparklabel import registry
from sparklabel.benchmarking.entries import Entry
from sparklabel.benchmarking.suite import SetRows
from sparklabel.errors import EngineError, SetupError
from sparklabel.evaluation.metrics.summary import measure
from sparklabel.labeling.options import Pricing
from sparklabel.labels.record import Label
from sparklabel.labels.status import OK, RETRYABLE
from sparklabel.language_model import TrainingConfig
from sparklabel.models.encoders import resolve_encoder
from sparklabel.models.shipped_encoder import ENCODER
from sparklabel.progress import WorkProgress
from sparklabel.stored_records import read_record
from sparklabel.table.human_answers import HumanAnswer, HumanAnswers
from sparklabel.tasks import Task
from sparklabel.training.baseline import judged_spec
from sparklabel.training.call import LORA, FinetuneCall
from sparklabel.training.control import RunControl
from sparklabel.training.inputs import FinetuneInputs, encoder_of
from sparklabel.training.processes import Processes
from sparklabel.training.selection import train_student
from sparklabel.training.students import CLASSIFIER_VERSION
from sparklabel.udf import LabelerSpec, engine_of, labeler_spec, load_engine, make_labeler, prepare

_FORMAT = 2
"""Raised when a release measures otherwise: a cell of an earlier one is computed again."""
_CHUNK = 64
_RESAMPLES = 200
_NO_SHARES = ("n", "completed", "mae")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one model did on one set.

    Attributes:
        set_name: The set.
        entry: The model's name in the benchmark.
        answers: How many answers taught it; 0 for none.
        wanted: How many were asked for: a set may have fewer.
        model: The identity of what answered; "" if nothing did.
        metric: The set's metric.
        value: It, in [0, 1]; None if the cell failed. `low` and `high` are its 95% interval.
        figures: All figures, as `Metrics.figures()` names them.
        prompt_tokens: The mean of a row's prompt.
        rows_per_second: Without loading the model.
        seconds, tokens: Of all test rows: without loading the model, and of prompts and answers.
        cost_per_1000_rows: By the entry's prices; None without. It is not kept: prices change.
        train_seconds: How long it was taught.
        note: How `method="auto"` chose.
        error: Why there are no figures; "" if there are.
        said: For each test row the value, the confidence and the status.
    """

    set_name: str
    entry: str
    answers: int
    metric: str
    wanted: int = 0
    model: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: float = 0.0
    rows_per_second: float = 0.0
    seconds: float = 0.0
    tokens: int = 0
    cost_per_1000_rows: float | None = None
    train_seconds: float = 0.0
    note: str = ""
    error: str = ""
    said: Sequence[Any] = ()

    @property
    def answered_by(self) -> str:
        """The model and how it was taught, in words."""
        return f"{self.kind} ({self.answers:,} in all)" if 0 < self.answers < self.wanted else self.kind

    @property
    def kind(self) -> str:
        """What cells of several sets have in common, in words."""
        return f"{self.entry}, {self.wanted:,} answers" if self.answers else f"{self.entry}, zero-shot"

    def priced(self, pricing: Pricing) -> "Cell":
        """The cell with what 1,000 rows cost at these prices."""
        cost = pricing.of(self.seconds, self.tokens)
        rows = max(1, len(self.said))
        return replace(self, cost_per_1000_rows=None if cost is None else 1000 * cost / rows)

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return f"{self.set_name}, {self.answered_by}: {self.error}"
        return (
            f"{self.set_name}, {self.answered_by}: {self.metric} {100 * self.value:.1f} "
            f"({100 * self.low:.1f} to {100 * self.high:.1f})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a cell answers: which set's rows, which model, how many answers, of how many that were wanted."""

    set_name: str
    rows: SetRows
    entry: Entry
    answers: int
    wanted: int
    metric: str
    config: TrainingConfig | None = None

    @property
    def title(self) -> str:
        return f"{self.set_name}, {self.entry.name}, {self.answers:,} answers"

    def key(self, spec: LabelerSpec) -> str:
        """A hash of all that the cell depends on; `spec` is that of the model as it is."""
        engine, is_taught = spec.engine, self.answers > 0
        content = [
            _FORMAT, self.rows.task.fingerprint, list(self.rows.train[: self.answers]), list(self.rows.test),
            spec.model.identity, engine.name, engine.options, engine.shared, self.metric,
            [self.entry.method, resolve_encoder(ENCODER).identity, asdict(self.config) if self.config else None]
            if is_taught else [spec.decision],
        ]  # fmt: skip
        if is_taught and self.entry.method != LORA:
            content += [CLASSIFIER_VERSION, self.entry.tune_encoder]
        return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:16]


def kept_cell(file: Path) -> Cell | None:
    """The cell in a file; None if there is none, or it is not whole."""
    try:
        return read_record(Cell, json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def keep_cell(cell: Cell, file: Path) -> None:
    """Writes the cell, whole or not at all."""
    part = file.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(asdict(cell), default=str), "utf-8")
    part.replace(file)


def question_spec(question: Question) -> LabelerSpec:
    """The spec of the model as it is. Raises ModelError, SetupError or TaskError."""
    entry = question.entry
    return labeler_spec(question.rows.task, entry.model, entry.engine, dict(entry.options))


def untrained(question: Question, spec: LabelerSpec) -> Cell:
    """Asks the model as it is. Raises what loading and asking it does."""
    return _asked(question, prepare(spec).spec)


def taught(question: Question, spec: LabelerSpec, run: registry.Run) -> Cell:
    """Teaches the model the answers, and asks it then, with the same engine. Raises what `finetune` does."""
    started = time.monotonic()
    with taught_model(question, spec, run) as (model, selection):
        seconds = time.monotonic() - started
        cell = _asked(question, model)
    return replace(cell, train_seconds=seconds, note=selection)


@contextmanager
def taught_model(
    question: Question, spec: LabelerSpec, run: registry.Run
) -> Iterator[tuple[LabelerSpec, str]]:
    """The model that has learned the answers, until the block ends, and how `method="auto"` chose. Raises what
    `finetune` does."""
    entry, task = question.entry, question.rows.task
    people = tuple(
        HumanAnswer(inputs, answer, None) for inputs, answer in question.rows.train[: question.answers]
    )
    call = FinetuneCall(
        table=question.set_name, task=task, base=entry.model, method=entry.method, tune_encoder=entry.tune_encoder,
        config=question.config,
    )  # fmt: skip
    inputs = FinetuneInputs(
        call=call, processes=Processes(), opened=None, answers=HumanAnswers(people, (), {}), base=spec.model,
        encoder=encoder_of(call), registered_name=question.set_name, examples=None,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as tmp:
        student = train_student(None, inputs, run, RunControl(), Path(tmp))
        with registry.unregistered_version(Path(tmp)) as model:
            yield replace(judged_spec(task, model), engine=engine_of(model, spec.engine)), student.selection
    student.remove()


def check_metric(question: Question) -> None:
    """Raises SetupError if the metric is none of the task, before anything is asked."""
    task, gold = question.rows.task, [answer for _, answer in question.rows.test[:20]]
    found = measure(task.answer_mode, gold, gold, [None] * len(gold), [OK] * len(gold)).figures()
    shares = [name for name in sorted(found) if name not in _NO_SHARES]
    if question.metric not in shares:
        raise SetupError(
            f"{question.metric!r} is not a metric of {task.kind} tasks, or not one from 0 to 1.",
            hint=f"It has: {', '.join(shares)}.",
        )


def _asked(question: Question, spec: LabelerSpec) -> Cell:
    labeler = make_labeler(spec, load_engine(spec.engine, spec.model))
    rows = [list(inputs) for inputs, _ in question.rows.test]
    labels: list[Label] = []
    started = time.monotonic()
    with WorkProgress(question.title, len(rows)) as bar:
        for start in range(0, len(rows), _CHUNK):
            labels += labeler.label(rows[start : start + _CHUNK])
            bar.advance(len(labels) - start)
            if labeler.engine_lost:
                raise EngineError(labels[-1].error or "The engine is lost.")
    seconds = time.monotonic() - started
    # What the engine failed on is asked again; a model is not worse for an outage.
    labels = labeler.label(rows) if any(label.status in RETRYABLE for label in labels) else labels
    if failed := [label for label in labels if label.status in RETRYABLE]:
        raise EngineError(f"The engine failed on {len(failed):,} of {len(rows):,} rows: {failed[0].error}")
    gold = [answer for _, answer in question.rows.test]
    value, interval, figures = _judged(question.rows.task, question.metric, gold, labels)
    return Cell(
        set_name=question.set_name, entry=question.entry.name, answers=question.answers, wanted=question.wanted,
        metric=question.metric, model=spec.model.identity, value=value, low=interval[0], high=interval[1],
        figures=figures,
        prompt_tokens=sum(label.prompt_tokens or 0 for label in labels) / len(rows),
        rows_per_second=len(rows) / seconds, seconds=seconds,
        tokens=sum((label.prompt_tokens or 0) + (label.output_tokens or 0) for label in labels),
        said=[[label.value, label.confidence, label.status] for label in labels],
    )  # fmt: skip


def _judged(
    task: Task, metric: str, gold: Sequence[Any], labels: Sequence[Label]
) -> tuple[float, tuple[float, float], dict[str, float]]:
    """The metric, its 95% interval, and all figures. Accuracy has Wilson's interval, other metrics that of 200
    resamples of the rows."""

    def figures(numbers: Sequence[int], *, of_confidence: bool) -> dict[str, float]:
        chosen = [labels[number] for number in numbers]
        return measure(
            task.answer_mode, [gold[number] for number in numbers], [label.value for label in chosen],
            [label.confidence if of_confidence else None for label in chosen], [label.status for label in chosen],
            [label.field_confidence for label in chosen] if of_confidence else (),
        ).figures()  # fmt: skip

    found = figures(range(len(labels)), of_confidence=True)
    if metric == "accuracy":
        return found[metric], (found["accuracy_lower95"], found["accuracy_upper95"]), found
    rng = np.random.default_rng(0)
    draws = (rng.integers(0, len(labels), len(labels)).tolist() for _ in range(_RESAMPLES))
    # Each draw's figures of confidence would be a bootstrap of their own.
    values = [figures(draw, of_confidence=False).get(metric, np.nan) for draw in draws]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return found[metric], (float(low), float(high)), found
