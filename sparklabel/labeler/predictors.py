"""From prompts to answers: by scoring the choices of a task, or from the text that a model writes.

In: prompts, and the rows that they were made from. Out: an `Answer` each, without what a table adds. Failures of the
engine are raised: the `Labeler` handles them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sparklabel.classifiers.classifier import HIDDEN, SCORES
from sparklabel.confidence.prior import geometric_mean, mean_log, prior_corrected
from sparklabel.engines import (
    Completion,
    Engine,
    GenerationRequest,
    ReadableEngine,
    RowScores,
    RowStatus,
    ScoringRequest,
    row_scores,
)
from sparklabel.errors import EngineError, TaskError
from sparklabel.labeler.prepared_task import PreparedTask
from sparklabel.labeler.row_classifier import RowClassifier
from sparklabel.labels import status
from sparklabel.labels.record import Alternative, FieldConfidence
from sparklabel.probe.hidden_states import HiddenStates
from sparklabel.prompts import Prompt
from sparklabel.tasks import Generated, Scored, Span
from sparklabel.tasks.repetition import until_repetition

_NOTHING = ("N/A", "[MASK]", "")
"""The content-free inputs of Zhao et al. 2021, arXiv:2102.09690."""
_FAR = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The fields of a label that come from the model. `status` is a constant of `sparklabel.labels.status`."""

    value: Any = None
    confidence: float | None = None
    alternatives: tuple[Alternative, ...] | None = None
    field_confidence: tuple[FieldConfidence, ...] | None = None
    status: str = status.OK
    error: str | None = None
    output_tokens: int | None = 0


class Predictor(Protocol):
    """Answers N prompts in one call of the engine. The rows hold one text per input. Raises EngineError."""

    def answer(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[str]]) -> list[Answer]: ...


@runtime_checkable
class ChoicePredictor(Predictor, Protocol):
    """That of a task with choices."""

    def log_probabilities(
        self, prompts: Sequence[Prompt], rows: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        """[N, L]: each choice's log-probability, as answers are decided by. Raises EngineError, also for one row that
        the engine failed on."""


def predictor(
    prepared: PreparedTask, engine: Engine, *, zero_shot: bool, classifier: RowClassifier | None = None
) -> Predictor:
    """The predictor for a task with this engine. `zero_shot`: the model was not fine-tuned. `classifier`: its
    own, or the mixture that it is a source of."""
    mode = prepared.mode
    if isinstance(mode, Generated):
        return GeneratedAnswers(prepared, mode, engine)
    # A fine-tuned model learned the labels' frequencies from people, so its prior is not corrected. In a mixture with
    # another source it always is: that one has none.
    corrects = zero_shot and (mode.prior_correction or classifier is not None)
    scored = ScoredAnswers(prepared, mode, engine, corrects=corrects)
    if classifier is None:
        return scored
    states = HiddenStates(engine, prepared.encoder) if isinstance(engine, ReadableEngine) else None
    return ClassifierAnswers(mode, classifier, scored if prepared.label_trie else None, states)


class ScoredAnswers:
    """Scores the choices of a task. No text is written. `corrects`: the model's prior is divided out."""

    def __init__(self, prepared: PreparedTask, mode: Scored, engine: Engine, *, corrects: bool) -> None:
        self.prepared, self._mode, self._engine, self._corrects = prepared, mode, engine, corrects
        # Dividing by a prior may make a small probability a large one, and a rating is a mean over all of them.
        self._may_prune = not (corrects or mode.groups or mode.ordinal)
        self._prior: NDArray[np.float64] | None = None

    def answer(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[str]]) -> list[Answer]:
        # What is improbable among all labels may be probable among a row's candidates.
        may_prune = self._may_prune and not any(prompt.candidates for prompt in prompts)
        scores, log_p = self.scored(prompts, may_prune=may_prune)
        certain = (bool(np.isposinf(logits).any()) for logits in scores.logits)
        return [self._answer(*row) for row in zip(log_p, certain, scores.row_statuses, strict=True)]

    def _answer(self, log_p: NDArray[np.float64], certain: bool, row_status: RowStatus | None) -> Answer:
        """`certain`: the engine named the choice without a probability."""
        answer = _decided(self._mode, log_p, row_status)
        is_known = certain and answer.status == status.OK
        return Answer(value=answer.value, error=answer.error) if is_known else answer

    def log_probabilities(
        self, prompts: Sequence[Prompt], rows: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        scores, log_p = self.scored(prompts)
        _check_none_failed(scores.row_statuses)
        return log_p

    def scored(
        self, prompts: Sequence[Prompt], *, may_prune: bool = False
    ) -> tuple[RowScores, NDArray[np.float64]]:
        """The engine's scores, and each choice's log-probability for each prompt [N, L], prior-corrected if the task
        asks for that. A row that the engine failed on has any. With `may_prune` those of choices that hardly have a
        probability may be -inf."""
        # The prior first: if it fails, no row has been paid for.
        prior = self._content_free() if self._corrects else None
        scores, log_p = self._raw(prompts, may_prune)
        return scores, log_p if prior is None else prior_corrected(log_p, prior, self._mode.groups)

    def _content_free(self) -> NDArray[np.float64]:
        """[L]: the log-probabilities of the choices for an empty input. Raises EngineError or TaskError."""
        if self._prior is None:
            blanks = [[text] * len(self.prepared.task.inputs) for text in _NOTHING]
            scores, log_p = self._raw(self.prepared.encoder.encode(blanks))
            _check_none_failed(
                scores.row_statuses, "The model's answer to an empty input could not be computed"
            )
            if np.isposinf(scores.logits).any():
                raise TaskError(
                    "This engine gives no probabilities, so there is no prior to correct.",
                    hint="Leave prior= out of the task.",
                )
            self._prior = mean_log(log_p)
        return self._prior

    def _raw(
        self, prompts: Sequence[Prompt], may_prune: bool = False
    ) -> tuple[RowScores, NDArray[np.float64]]:
        trie, rows = self.prepared.trie, tuple(prompt.ids for prompt in prompts)
        scores = row_scores(self._engine, ScoringRequest(self.prepared.encoder.prefix, rows, trie, may_prune))
        # Infinite logits have no softmax. e to the power of _FAR is far more than any probability needs.
        finite = np.where(np.isposinf(scores.logits), np.float32(_FAR), scores.logits)
        return scores, trie.log_probabilities(finite, self._candidates(prompts, scores))

    def _candidates(self, prompts: Sequence[Prompt], scores: RowScores) -> NDArray[np.bool_] | None:
        """[N, L]: the candidates of each row; None if every row has all choices. A row whose choice the engine named
        has all of them too."""
        if not any(prompt.candidates for prompt in prompts):
            return None
        known = [bool(np.isposinf(logits).any()) for logits in scores.logits]
        candidates = np.zeros((len(prompts), len(self.prepared.trie.paths)), dtype=bool)
        for row, prompt in enumerate(prompts):
            candidates[
                row, list(prompt.candidates) if prompt.candidates and not known[row] else slice(None)
            ] = True
        return candidates


def _decided(mode: Scored, log_p: NDArray[np.float64], row_status: RowStatus | None) -> Answer:
    """The answer of a row whose choices have these log-probabilities [L], by what the engine says of the row."""
    if failed := _failed(row_status):
        return failed
    if np.isnan(log_p).any():
        return Answer(status=status.INVALID_OUTPUT, error="the model's scores are not numbers")
    decision = mode.decide(log_p)
    return Answer(
        value=decision.value, confidence=decision.confidence, alternatives=decision.alternatives,
        field_confidence=decision.field_confidence, error=row_status.text if row_status else None,
    )  # fmt: skip


def _failed(row_status: RowStatus | None) -> Answer | None:
    """The answer of a row that failed; None for any other row."""
    if row_status is None or row_status.status == status.OK:
        return None
    return Answer(status=row_status.status, error=row_status.text)


def _check_none_failed(
    row_statuses: Sequence[RowStatus | None], what: str = "The choices could not be scored"
) -> None:
    """Raises EngineError with the error of the first row that failed."""
    if failed := next(filter(None, map(_failed, row_statuses)), None):
        raise EngineError(f"{what}: {failed.error}")


class ClassifierAnswers:
    """Answers with a version's classifier.

    Args:
        mode: The task's.
        classifier: The version's.
        scored: The language model's probabilities; None if there is no language model.
        states: Its hidden states; None if its engine does not give them.
    """

    def __init__(
        self,
        mode: Scored,
        classifier: RowClassifier,
        scored: ScoredAnswers | None,
        states: HiddenStates | None,
    ) -> None:
        self._mode = mode
        self._classifier, self._reader = classifier.classifier, classifier.reader
        self._scored = scored if SCORES in self._classifier.sources else None
        self._states = states if HIDDEN in self._classifier.sources else None

    def answer(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[str]]) -> list[Answer]:
        log_p, row_statuses = self._read(prompts, rows)
        return [_decided(self._mode, *row) for row in zip(log_p, row_statuses, strict=True)]

    def log_probabilities(
        self, prompts: Sequence[Prompt], rows: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        log_p, row_statuses = self._read(prompts, rows)
        _check_none_failed(row_statuses)
        return log_p

    def _read(
        self, prompts: Sequence[Prompt], rows: Sequence[Sequence[str]]
    ) -> tuple[NDArray[np.float64], Sequence[RowStatus | None]]:
        read = self._reader.read(rows, self._classifier.sources) if self._reader else {}
        row_statuses: Sequence[RowStatus | None] = [None] * len(rows)
        if self._states:
            read[HIDDEN] = self._states.of(prompts)
        if self._scored:
            scores, read[SCORES] = self._scored.scored(prompts)
            row_statuses = scores.row_statuses
        return self._classifier.log_probabilities(read), row_statuses


class GeneratedAnswers:
    """Has the model write each answer, under the task's schema if it has one."""

    def __init__(self, prepared: PreparedTask, mode: Generated, engine: Engine) -> None:
        self._prepared, self._mode, self._engine = prepared, mode, engine

    def answer(self, prompts: Sequence[Prompt], rows: Sequence[Sequence[str]]) -> list[Answer]:
        request = GenerationRequest(
            self._prepared.encoder.prefix, tuple(prompt.ids for prompt in prompts), self._mode.schema,
            self._mode.max_tokens,
        )  # fmt: skip
        return [self._answer(*pair) for pair in zip(self._engine.generate(request), rows, strict=True)]

    def _answer(self, written: Completion, row: Sequence[str]) -> Answer:
        if failed := _failed(written.row_status):
            return failed
        tokens = len(written.log_p) if written.log_p or not written.text else None
        repeating = None if written.finished or not self._mode.schema else until_repetition(written.text)
        if not written.finished and repeating is None:
            reason = (
                f"the answer did not end within {self._mode.max_tokens} tokens: raise the task's max_tokens"
            )
            return Answer(status=status.INVALID_OUTPUT, error=reason, output_tokens=tokens)
        try:
            parsed = self._mode.read(repeating or written.text, row)
        except ValueError as error:
            return Answer(status=status.INVALID_OUTPUT, error=str(error)[:500], output_tokens=tokens)
        dropped = f"{parsed.dropped} left out: not in the text" if parsed.dropped else None
        ended = "the list repeated itself, and was ended there" if repeating else None
        row_status = written.row_status.text if written.row_status else None
        notes = "; ".join(filter(None, (dropped, ended, row_status))) or None
        if tokens is None:  # the engine reports neither tokens nor probabilities
            return Answer(value=parsed.value, error=notes, output_tokens=None)
        fields = [(field, _confidence(written, spans)) for field, spans in parsed.fields]
        return Answer(
            value=parsed.value,
            confidence=_confidence(written, [span for _, spans in parsed.fields for span in spans]),
            field_confidence=tuple(FieldConfidence(field, p, p) for field, p in fields),
            error=notes,
            output_tokens=tokens,
        )


def _confidence(written: Completion, spans: Sequence[Span]) -> float:
    """The geometric mean of the probabilities of the tokens that overlap the spans; of all tokens if the value has no
    text of its own."""
    starts = (0, *written.ends[:-1])
    tokens = [
        log_p
        for start, end, log_p in zip(starts, written.ends, written.log_p, strict=True)
        if any(start < span.end and end > span.start for span in spans)
    ]
    return geometric_mean(tokens or written.log_p)
