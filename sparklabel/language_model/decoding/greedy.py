"""Greedy generation for many short rows after one shared prefix, free or under a grammar.

In: token ids. Out: the tokens written for each row, with their log-probabilities. It neither renders prompts nor
decodes text.

The prefix is encoded once; rows that are done leave the batch and others take their place. Tokens that a grammar forces
are not decoded one by one: they go through the model together with the token before them. When rows outgrow the memory
budget, or memory runs out, some are put back with what they have written and read again later; their answers are the
same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, count

import torch
from torch import Tensor

from sparklabel.language_model.attention import prefix as attention
from sparklabel.language_model.attention.kv_cache import RaggedKVCache, cache_tokens
from sparklabel.language_model.decoding.admission import MAX_ROWS, rows_that_fit, rows_to_admit
from sparklabel.language_model.decoding.answer import AnswerInProgress
from sparklabel.language_model.decoding.grammar import Grammar, allowed
from sparklabel.language_model.memory_limits import runs_within_memory
from sparklabel.language_model.model import LanguageModel, SharedPrefix
from sparklabel.language_model.output_heads import LOGITS_AT_ONCE, VocabularyHead


@dataclass(frozen=True, slots=True)
class Written:
    """The tokens of one answer, without the stop token, each with its log-probability among all tokens. `finished`:
    the model stopped, or the grammar allowed no more."""

    ids: tuple[int, ...]
    log_p: tuple[float, ...]
    finished: bool


def generate(
    model: LanguageModel,
    prefix: SharedPrefix,
    rows: Sequence[Sequence[int]],
    grammar: Grammar | None,
    max_tokens: int,
) -> list[Written]:
    """Continues each row by at most `max_tokens` tokens.

    Args:
        model: the language model; its token budgets become smaller if memory runs out.
        prefix: the encoded beginning that all prompts share.
        rows: token ids after the prefix, at least one a row.
        grammar: what answers must fit; None lets the model write anything.
        max_tokens: the longest answer.

    Returns:
        One answer a row, in the order of `rows`.

    Raises:
        MemoryError, RuntimeError: as torch raises them, if memory does not even hold a single row.
    """
    may_repeat = not (grammar and grammar.is_list)  # a list that does ends as it would at `max_tokens`
    answers = [
        AnswerInProgress(row, max_tokens, grammar.begin() if grammar else None, may_repeat=may_repeat)
        for row in rows
    ]
    with torch.inference_mode(), attention.after_prefix(prefix.layers), model.own_attention():
        _Batch(model, len(prefix.ids), grammar, answers).run()
    return [Written(tuple(a.ids), tuple(a.log_p), a.finished) for a in answers]


class _Batch:
    """Answers that are written now, one in each slot of the cache, and those that wait, longest first."""

    def __init__(
        self, model: LanguageModel, start: int, grammar: Grammar | None, answers: Sequence[AnswerInProgress]
    ) -> None:
        self._model, self._start, self._grammar = model, start, grammar
        self._head = VocabularyHead(model.model)
        self._running: list[AnswerInProgress] = []
        self._waiting: list[AnswerInProgress] = []
        self._admissions = count()
        self._empty_cache()
        self._wait(answers)

    def run(self) -> None:
        while self._waiting or self._running:
            self._give_back()
            new = self._waiting[: self._admitted()]
            if not runs_within_memory(lambda: self._step(new), divisible=len(self._running) + len(new) > 1):  # noqa: B023
                self._retreat(new)

    def _admitted(self) -> int:
        return rows_to_admit(
            [len(answer) for answer in self._waiting[:MAX_ROWS]],
            [len(answer) for answer in self._running],
            kept_tokens=self._model.kept_tokens,
            batch_tokens=self._model.batch_tokens,
        )

    def _step(self, new: list[AnswerInProgress]) -> None:
        """Evaluates the new rows, or else the new tokens of those that run, and lets each choose its next token."""
        first, answers = (len(self._running), new) if new else (0, self._running)
        kept = [0] * len(new) or self._cache.lengths
        tokens = [answer.tokens_after(length) for answer, length in zip(answers, kept, strict=True)]
        hidden = self._forward(first, tokens)
        is_open = self._allowed(answers)  # while a device computes
        ends = list(accumulate(map(len, tokens)))
        forced = iter(self._forced_log_p(hidden, answers, ends))
        chosen = self._choose(hidden[[end - 1 for end in ends]], is_open)
        # Nothing changes until memory has sufficed for all of it.
        self._cache.commit()
        if new:
            self._admit(new)
        for answer, (token, log_p) in zip(answers, chosen, strict=True):
            answer.score_forced([next(forced) for _ in answer.unscored])
            answer.accept(token, log_p, self._model.tokenizer.stop_ids)
        self._drop_done()

    def _forward(self, first: int, tokens: list[list[int]]) -> Tensor:
        """The hidden states [N, D] of the rows' new tokens, one row after another."""
        ids, positions = self._cache.begin(first, tokens)
        with attention.continuing(self._cache):
            return self._model.hidden(ids, position_ids=positions + self._start)[0]

    def _forced_log_p(
        self, hidden: Tensor, answers: Sequence[AnswerInProgress], ends: Sequence[int]
    ) -> list[float]:
        """The log-probabilities of all unscored tokens, each read at the token before it."""
        unscored = [answer.unscored for answer in answers]
        tokens = torch.tensor([token for row in unscored for token in row], device=hidden.device)
        positions = [
            end - 1 - len(row) + n for end, row in zip(ends, unscored, strict=True) for n in range(len(row))
        ]
        found: list[float] = []
        for part in torch.arange(len(positions)).split(max(1, LOGITS_AT_ONCE // self._head.size)):
            if len(part):
                logits = self._head(hidden[[positions[n] for n in part.tolist()]])
                found += _log_p(logits, tokens[part.to(hidden.device)]).tolist()
        return found

    def _allowed(self, answers: Sequence[AnswerInProgress]) -> Tensor | None:
        """[B, V]: true where a row's next token may be this one; None if every token may follow in every row."""
        if self._grammar is None:
            return None
        states = [answer.grammar_state for answer in answers if answer.grammar_state]
        bits = torch.from_numpy(allowed(self._grammar.vocabulary, states)).view(torch.uint8)
        shifts = torch.arange(8, dtype=torch.uint8, device=self._model.device)
        single = (bits.to(self._model.device)[..., None] >> shifts) & 1
        return single.flatten(1)[:, : self._head.size].bool()

    def _choose(self, hidden: Tensor, is_open: Tensor | None) -> list[tuple[int, float]]:
        """The most probable allowed token of each row, and its log-probability among all: -inf if none is allowed."""
        logits = self._head(hidden)
        held = logits if is_open is None else logits.masked_fill(~is_open, float("-inf"))
        tokens = held.argmax(-1)
        log_p = _log_p(logits, tokens)
        if is_open is not None:
            log_p = log_p.masked_fill(~is_open.any(-1), float("-inf"))
        return list(zip(tokens.tolist(), log_p.tolist(), strict=True))

    def _admit(self, new: list[AnswerInProgress]) -> None:
        for answer in new:
            answer.admission = next(self._admissions)
        self._running += new
        del self._waiting[: len(new)]

    def _wait(self, answers: Sequence[AnswerInProgress]) -> None:
        self._waiting = sorted([*answers, *self._waiting], key=len, reverse=True)

    def _drop_done(self) -> None:
        for slot in range(len(self._running) - 1, -1, -1):
            if self._running[slot].is_done:
                self._remove(slot)

    def _remove(self, slot: int) -> AnswerInProgress:
        """Frees a slot; the answer of the last slot moves there, as it does in the cache."""
        self._cache.remove(slot)
        removed, last = self._running[slot], self._running.pop()
        if removed is not last:
            self._running[slot] = last
        return removed

    def _give_back(self) -> None:
        """Puts the youngest rows back before the cache outgrows its budget. The oldest always goes on, so every row
        is finished in time."""
        returned = []
        while len(self._running) > self._room():
            youngest = max(range(len(self._running)), key=lambda slot: self._running[slot].admission)
            returned.append(self._remove(youngest))
        if returned:
            self._wait(returned)

    def _room(self) -> int:
        """How many rows as long as the longest running one the cache may hold."""
        return rows_that_fit(max(map(len, self._running), default=1), self._model.kept_tokens)

    def _retreat(self, new: list[AnswerInProgress]) -> None:
        """Memory ran out: fewer rows come in at once or, if others run already, fewer run at once.

        All rows are put back, not only the youngest: a smaller cache would be a copy, and there is no memory for one.
        """
        if not self._running:
            self._model.lower_batch_tokens(len(new) * len(new[0]))
            return
        held = cache_tokens(len(self._running) + len(new), max(map(len, self._running + new)))
        self._wait(self._running)
        self._running = []
        self._empty_cache()
        self._model.lower_kept_tokens(held)

    def _empty_cache(self) -> None:
        self._cache = RaggedKVCache(self._model.device, self._model.model.dtype)


def _log_p(logits: Tensor, tokens: Tensor) -> Tensor:
    """Of one token in each row of float32 logits [N, V]: [N]."""
    return logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
