"""The labeler: rows in, labels out, with any engine. No Spark in it.

A row that cannot be answered gets a label that says why; nothing a row holds raises. Equal inputs are computed once,
within a call and across the calls that a process serves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from sparklabel import labels as status
from sparklabel.cards import ModelCard
from sparklabel.confidence import mean_log, prior_corrected
from sparklabel.constraints import LabelTrie, label_trie
from sparklabel.engines import Engine, ScoringRequest
from sparklabel.errors import EngineError
from sparklabel.labels import Label, input_hash
from sparklabel.prompts import (
    Prompt,
    PromptEncoder,
    PromptTemplate,
    Tokenizer,
    answer_ids,
    chat_template,
    check_same_ids,
)
from sparklabel.tasks import Scored, Task, scored

Row = Sequence[str | bytes | None]
_REMEMBERED = 50_000
_FAILURES_IN_A_ROW = 32
_NOTHING = ("N/A", "[MASK]", "")
"""The content-free inputs of Zhao et al. 2021, arXiv:2102.09690."""


@dataclass(frozen=True, slots=True)
class Question:
    """A task made ready for one tokenizer: how rows are rendered, and what the choices are as tokens.

    Needs no weights: a driver builds it to find out what cannot be asked, before anything is loaded or written.
    """

    task: Task
    mode: Scored
    template: PromptTemplate
    trie: LabelTrie
    encoder: PromptEncoder

    @classmethod
    def of(
        cls, task: Task, tokenizer: Tokenizer, card: ModelCard | None = None, model: str = ""
    ) -> "Question":
        """With the card that a fine-tuned model carries, or zero-shot. Raises TaskError or ModelError."""
        scored(task, "answered")  # said before the prompt is rendered: other kinds may have none
        question = cls.rendered(task, tokenizer, card.template if card else chat_template(task, tokenizer))
        if card:
            card.check_fits(task, model)
            check_same_ids(card.label_ids, question.trie.paths, model)
        return question

    @classmethod
    def rendered(cls, task: Task, tokenizer: Tokenizer, template: PromptTemplate) -> "Question":
        """The same with a template of the caller's."""
        mode = scored(task, "answered")
        trie = label_trie(answer_ids(template, tokenizer, mode.spoken), mode.names)
        return cls(
            task, mode, template, trie, PromptEncoder(template, tokenizer, reserve=trie.tree_depth + 1)
        )


class Labeler:
    """Answers rows of one task with one engine. `model`, the identity, is written into every label.

    `card` is what a fine-tuned model carries; without it the model is asked zero-shot. Raises TaskError or ModelError
    when task, tokenizer and card do not fit together.
    """

    def __init__(self, task: Task, engine: Engine, *, model: str, card: ModelCard | None = None) -> None:
        question = Question.of(task, engine.tokenizer, card, model)
        self.task, self.mode, self.engine = task, question.mode, engine
        self.trie, self.encoder = question.trie, question.encoder
        # A fine-tuned model learned the labels' frequencies from people: its lean is not one to correct.
        self._corrects = self.mode.prior_correction and card is None
        self._stamp = Label(status=status.OK, model=model, task_fingerprint=task.fingerprint, attempts=1)
        self._failures = 0
        self._known: dict[str, Label] = {}
        self._prior: NDArray[np.float64] | None = None

    def label(self, rows: Sequence[Row]) -> list[Label]:
        """One label per row, in order. A row holds one text (str, or UTF-8 bytes) or None per input."""
        raw = [[v.encode(errors="surrogatepass") if isinstance(v, str) else v for v in row] for row in rows]
        hashes = [input_hash(row) for row in raw]
        answers = {h: self._known[h] for h in hashes if h in self._known}
        new = {h: row for h, row in zip(hashes, raw, strict=True) if h not in answers}
        answers.update(zip(new, self._answer(list(new), list(new.values())), strict=True))
        self._remember(answers)
        return [answers[h] for h in hashes]

    def _remember(self, answers: dict[str, Label]) -> None:
        """Keeps answers for equal inputs in later calls; not those that another attempt can mend."""
        if len(self._known) + len(answers) > _REMEMBERED:
            self._known = {}
        self._known.update((h, label) for h, label in answers.items() if label.status not in status.RETRYABLE)

    @property
    def gave_up(self) -> bool:
        """Whether the engine failed so often in a row that it is asked no more than once a call: worth a new one."""
        return self._failures > _FAILURES_IN_A_ROW

    def forget(self) -> None:
        """Drops the answers kept for equal inputs."""
        self._known = {}

    def _answer(self, hashes: list[str], rows: list[list[bytes | None]]) -> list[Label]:
        texts = [[(value or b"").decode(errors="replace") for value in row] for row in rows]
        asked = [i for i, row in enumerate(texts) if any(text.strip() for text in row)]
        prompts = self.encoder.encode([texts[i] for i in asked])
        answers = dict(zip(asked, self._score(prompts), strict=True))
        empty = replace(
            self._stamp, status=status.EMPTY_INPUT, error="every input is NULL or blank", attempts=0
        )
        now = datetime.now(UTC)
        return [
            replace(answers.get(i, empty), input_hash=hashes[i], labeled_at=now) for i in range(len(rows))
        ]

    def _score(self, prompts: list[Prompt]) -> list[Label]:
        if not prompts:
            return []
        try:
            log_p = self.log_probabilities(prompts)
        except EngineError as error:
            return self._score_parts(prompts, error)
        self._failures = 0
        return [self._scored(prompt, row) for prompt, row in zip(prompts, log_p, strict=True)]

    def _score_parts(self, prompts: list[Prompt], error: EngineError) -> list[Label]:
        """Halves what failed, so that one bad row costs itself only; an engine that fails on and on is left alone."""
        self._failures += 1
        if len(prompts) == 1 or self.gave_up:
            return [replace(self._stamp, status=status.ENGINE_ERROR, error=error.message) for _ in prompts]
        middle = len(prompts) // 2
        return self._score(prompts[:middle]) + self._score(prompts[middle:])

    def _scored(self, prompt: Prompt, log_p: NDArray[np.float64]) -> Label:
        if np.isnan(log_p).any():
            return replace(
                self._stamp, status=status.INVALID_OUTPUT, error="the model's scores are not numbers"
            )
        decision = self.mode.decide(log_p)
        return replace(
            self._stamp,
            value=decision.value,
            confidence=decision.confidence,
            raw_confidence=decision.confidence,
            alternatives=decision.alternatives,
            status=status.TRUNCATED if prompt.truncated else status.OK,
            prompt_tokens=len(self.encoder.prefix) + len(prompt.ids),
            output_tokens=0,
        )

    def log_probabilities(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """[N, L]: each choice's log-probability for each prompt, prior-corrected where the task asks for it
        and the model was not fine-tuned."""
        log_p = self._raw([prompt.ids for prompt in prompts])
        if not self._corrects:
            return log_p
        if self._prior is None:
            blanks = self.encoder.encode([[text] * len(self.task.inputs) for text in _NOTHING])
            self._prior = mean_log(self._raw([blank.ids for blank in blanks]))
        return prior_corrected(log_p, self._prior)

    def _raw(self, rows: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
        request = ScoringRequest(self.encoder.prefix, tuple(rows), self.trie)
        return self.trie.log_probabilities(self.engine.score(request))
