"""Rows in, labels out, with any engine.

In: rows of texts. Out: a label for each. A row that cannot be answered gets a label that says why: no row raises an
error. Equal inputs are computed once, within a call and across the calls of a process. Nothing is read or written here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sparklabel.confidence.calibrators import Calibrator, calibrated_fields, other_probabilities
from sparklabel.engines import Engine
from sparklabel.errors import EngineDied, EngineError, SparklabelError, TaskError
from sparklabel.few_shot import Encoder, ExampleSet
from sparklabel.labeler.predictors import Answer, ChoicePredictor, Predictor, predictor
from sparklabel.labeler.prepared_task import PreparedTask
from sparklabel.labeler.retrieval import CandidateRetriever, ExampleRetriever
from sparklabel.labeler.row_classifier import RowClassifier
from sparklabel.labeler.zero_shot import LM, MIXED, label_order, name_reader, ordered
from sparklabel.labels import status
from sparklabel.labels.record import Alternative, Label, input_hash
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.shipped_encoder import sentence_encoder
from sparklabel.prompts import Prompt, candidate_labels
from sparklabel.redaction import typed_line
from sparklabel.tasks import MAX_ALTERNATIVES, Task
from sparklabel.texts import is_blank

Row = Sequence[str | bytes | None]
_Asked = tuple[Prompt, Sequence[str]]
_T = TypeVar("_T")
_R = TypeVar("_R")
_MAX_KEPT = 50_000
_FAILURES_IN_A_ROW = 32


class Labeler:
    """Answers rows of one task with one engine. Several threads may call `label` if the engine allows that.

    Args:
        task: The task.
        engine: An open engine.
        model: The model's identity, which is written into every label.
        manifest: What a fine-tuned model carries. Without it, prompts have the whole instructions.
        calibrator: Turns the model's own probability into a confidence.
        min_confidence: Answers with less confidence are withheld.
        examples: The examples of a pass, for a model that was not fine-tuned.
        open_encoder: Opens the encoder that finds similar examples and candidate labels.
        classifier: That of a fine-tuned model which has one.
        zero_shot: "mixed" for a model that was not fine-tuned, as a classification describes it.

    Raises:
        TaskError: The task cannot be asked of this model.
        ModelError: The task, the tokenizer and the manifest do not fit together.
    """

    def __init__(
        self,
        task: Task,
        engine: Engine,
        *,
        model: str,
        manifest: ModelManifest | None = None,
        calibrator: Calibrator | None = None,
        min_confidence: float = 0.0,
        examples: ExampleSet | None = None,
        open_encoder: Callable[[], Encoder] = sentence_encoder,
        classifier: RowClassifier | None = None,
        zero_shot: str = LM,
    ) -> None:
        self._calibrator, self._min_confidence = calibrator, min_confidence
        fingerprint = task.fingerprint
        self._choices: list[int] | slice = slice(None)
        if zero_shot == MIXED:
            self._choices, task = label_order(task), ordered(task)
            classifier = name_reader(task, open_encoder)
        prepared = PreparedTask.of(task, engine.tokenizer, manifest, model, examples)
        by_row = examples is not None and examples.similar and manifest is None
        self._example_retriever = (
            ExampleRetriever(task, examples, open_encoder) if examples and by_row else None
        )
        candidates = candidate_labels(task) if manifest is None else None
        self._candidate_retriever = CandidateRetriever(candidates, open_encoder) if candidates else None
        self.encoder = prepared.encoder
        self._predictor: Predictor = predictor(
            prepared, engine, zero_shot=manifest is None, classifier=classifier
        )
        self._stamp = Label(status=status.OK, model=model, task_fingerprint=fingerprint, attempts=1)
        self._enough, self._which = (all, "an") if task.needs_every_input else (any, "every")
        self._refuses_cuts = task.on_too_long == "fail"
        self._too_long = replace(
            self._stamp, status=status.TOO_LONG, attempts=0,
            error=f"the row takes more than the {self.encoder.room:,} tokens that the model's context has left for it",
        )  # fmt: skip
        self._failures, self._died, self._last_failure = 0, False, ""
        self._known: dict[str, Label] = {}
        self._rendering = Lock()

    def label(self, rows: Sequence[Row]) -> list[Label]:
        """One label per row, in order. A row holds, for each input, a text (str, or UTF-8 bytes) or None."""
        raw = [[v.encode(errors="surrogatepass") if isinstance(v, str) else v for v in row] for row in rows]
        hashes = [input_hash(row) for row in raw]
        answers = {h: self._known[h] for h in hashes if h in self._known}
        new = {h: row for h, row in zip(hashes, raw, strict=True) if h not in answers}
        answers.update(zip(new, self._answer(list(new), list(new.values())), strict=True))
        self._remember(answers)
        return [answers[h] for h in hashes]

    def log_probabilities(self, rows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """[N, L]: the choices' log-probabilities for each row, before calibration. Nothing is kept.

        Raises:
            TaskError: The task has no choices.
            EngineError: The engine failed on a row.
        """
        if not isinstance(self._predictor, ChoicePredictor):
            raise TaskError("Answers that are written have no probabilities of choices.")
        texts = [list(row) for row in rows]
        return self._predictor.log_probabilities(self._prompts(texts), texts)[:, self._choices]

    def _remember(self, answers: dict[str, Label]) -> None:
        """Keeps answers for equal inputs in later calls, except failures that another attempt may not have."""
        if len(self._known) + len(answers) > _MAX_KEPT:
            self._known = {}
        self._known.update((h, label) for h, label in answers.items() if label.status not in status.RETRYABLE)

    @property
    def engine_lost(self) -> bool:
        """Whether the engine died, or failed so often in a row that each call tries it only once. Open another one
        then."""
        return self._died or self._failures > _FAILURES_IN_A_ROW

    @property
    def engine_died(self) -> bool:
        return self._died

    def release(self) -> None:
        """Drops a lost engine, so that memory can hold another one. From now on every row is a failure."""
        self._predictor = _Released(self._last_failure)

    def clear_memo(self) -> None:
        """Drops the answers that are kept for equal inputs."""
        self._known = {}

    def _answer(self, hashes: list[str], rows: list[list[bytes | None]]) -> list[Label]:
        texts = [[(value or b"").decode(errors="replace") for value in row] for row in rows]
        asked = [i for i, row in enumerate(texts) if self._enough(not is_blank(text) for text in row)]
        answers = dict(zip(asked, self._render_and_ask([texts[i] for i in asked]), strict=True))
        empty = replace(
            self._stamp, status=status.EMPTY_INPUT, error=f"{self._which} input is NULL or blank", attempts=0
        )
        now = datetime.now(UTC)
        return [
            replace(answers.get(i, empty), input_hash=hashes[i], labeled_at=now) for i in range(len(rows))
        ]

    def _render_and_ask(self, rows: list[list[str]]) -> list[Label]:
        prompts = self._each_alone(self._prompts, rows)
        fitting = [self._too_long if self._is_refused(prompt) else prompt for prompt in prompts]
        asked = [
            (prompt, row) for prompt, row in zip(fitting, rows, strict=True) if isinstance(prompt, Prompt)
        ]
        answers = iter(self._each_alone(self._ask, asked))
        return [next(answers) if isinstance(prompt, Prompt) else prompt for prompt in fitting]

    def _is_refused(self, prompt: Prompt | Label) -> bool:
        return isinstance(prompt, Prompt) and prompt.truncated and self._refuses_cuts

    def _prompts(self, rows: Sequence[list[str]]) -> list[Prompt]:
        with self._rendering:
            shown = self._example_retriever.of(rows) if self._example_retriever else None
            candidates = self._candidate_retriever.of(rows) if self._candidate_retriever else None
            return self.encoder.encode(rows, shown, candidates)

    def _ask(self, asked: Sequence[_Asked]) -> list[Label]:
        answers = self._predictor.answer([prompt for prompt, _ in asked], [row for _, row in asked])
        self._failures = 0
        return [self._label(prompt, answer) for (prompt, _), answer in zip(asked, answers, strict=True)]

    def _each_alone(self, work: Callable[[Sequence[_T]], list[_R]], items: Sequence[_T]) -> list[_R | Label]:
        """What `work` gives for each item. A batch that fails is halved, so that a bad row fails alone, whatever it
        raises. An engine that keeps failing is not asked again, and what would fail for every row is raised."""
        if not items:
            return []
        try:
            return [*work(items)]
        except Exception as error:
            if isinstance(error, SparklabelError) and not isinstance(error, EngineError):
                raise
            failed = error if isinstance(error, EngineError) else EngineError(typed_line(error))
        self._count(failed)
        if len(items) == 1 or self.engine_lost:
            return [*self._failed(len(items), failed)]
        middle = len(items) // 2
        return self._each_alone(work, items[:middle]) + self._each_alone(work, items[middle:])

    def _count(self, error: EngineError) -> None:
        self._failures, self._last_failure = self._failures + 1, error.message
        self._died = self._died or isinstance(error, EngineDied)

    def _failed(self, number: int, error: EngineError) -> list[Label]:
        return [replace(self._stamp, status=status.ENGINE_ERROR, error=error.message)] * number

    def _label(self, prompt: Prompt, answer: Answer) -> Label:
        cut = prompt.truncated and answer.status == status.OK
        label = replace(
            self._stamp, value=answer.value, raw_confidence=answer.confidence, confidence=answer.confidence,
            alternatives=answer.alternatives,
            status=status.TRUNCATED if cut else answer.status, error=answer.error, output_tokens=answer.output_tokens,
            prompt_tokens=len(self.encoder.prefix) + len(prompt.ids),
        )  # fmt: skip
        if answer.confidence is None:
            return label
        label = replace(
            label, confidence=self._calibrated(answer, answer.confidence),
            field_confidence=calibrated_fields(self._calibrator, answer.field_confidence),
        )  # fmt: skip
        return abstain_below(label, self._min_confidence)

    def _calibrated(self, answer: Answer, raw: float) -> float:
        if self._calibrator is None:
            return raw
        return self._calibrator.confidence(raw, other_probabilities(raw, answer.alternatives))


def abstain_below(label: Label, min_confidence: float) -> Label:
    """The label, with its value withheld if its confidence is below `min_confidence`: the value is then the first of
    the alternatives."""
    if label.confidence is None or label.confidence >= min_confidence:
        return label
    others = label.alternatives or ()
    if not others or others[0].value != label.value:  # a rating's value may lie between its alternatives
        others = (Alternative(label.value, label.raw_confidence or 0.0), *others)[:MAX_ALTERNATIVES]
    reason = f"confidence {label.confidence:.3f} is below {min_confidence:g}"
    return replace(label, value=None, status=status.UNCERTAIN, error=reason, alternatives=others)


@dataclass(frozen=True, slots=True)
class _Released:
    """Stands in for an engine that was dropped."""

    failure: str

    def answer(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[str]]) -> list[Answer]:
        raise EngineDied(self.failure)
