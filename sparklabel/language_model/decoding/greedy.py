"""Greedy generation for many short rows behind one shared prefix, free or under a grammar.

In: token ids. Out: the tokens written for each row, with their log-probabilities. The prefix is encoded once; rows
that are done leave the batch and others take their place. Tokens that a grammar forces are not decoded one by one:
they go through the model together with the token before them. Where memory runs out, rows are put back with what they
have written, and fewer go on at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

from sparklabel.language_model.attention import prefix as attention
from sparklabel.language_model.attention.kv_cache import RaggedKVCache
from sparklabel.language_model.decoding.grammar import Grammar, GrammarState, allowed
from sparklabel.language_model.memory_limits import runs_within_memory
from sparklabel.language_model.model import LanguageModel, SharedPrefix
from sparklabel.language_model.output_heads import LOGITS_AT_ONCE, VocabularyHead

_MOST_ROWS = 256
"""More gain little, and logits over the vocabulary are in memory for each."""


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
    """Continues each row (what follows the prefix, never empty) by `max_tokens` tokens at most.

    Raises what torch raises where memory does not even hold a single row.
    """
    answers = [_Answer(row, max_tokens, grammar.begin() if grammar else None) for row in rows]
    with torch.inference_mode(), attention.behind(prefix.layers), model.own_attention():
        _Batch(model, len(prefix.ids), grammar, answers).run()
    return [Written(tuple(a.ids), tuple(a.log_p), a.finished) for a in answers]


@dataclass(slots=True, eq=False)
class _Answer:
    """A row and what is written for it. The last of `ids` are forced and not read yet where `log_p` is shorter."""

    prompt: Sequence[int]
    limit: int
    grammar_state: GrammarState | None
    ids: list[int] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)
    finished: bool = False
    ended: bool = False

    def __post_init__(self) -> None:
        self._go_on()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.ids)

    def behind(self, kept: int) -> list[int]:
        """The tokens that the model has not seen, when it has seen `kept`."""
        known = len(self.prompt)
        return self.ids[kept - known :] if kept >= known else [*self.prompt[kept:], *self.ids]

    @property
    def unread(self) -> list[int]:
        """Forced tokens whose log-probability is still to be read."""
        return self.ids[len(self.log_p) :]

    @property
    def done(self) -> bool:
        return self.ended and len(self.ids) == len(self.log_p)

    def accept(self, forced: Sequence[float], token: int, log_p: float, stop_ids: Sequence[int]) -> None:
        """The forced tokens' log-probabilities, and what the model chose behind them."""
        self.log_p.extend(forced)
        if self.ended:
            return
        if token in stop_ids and math.isfinite(log_p):
            self.finished = self.ended = True
        elif not math.isfinite(log_p) or (self.grammar_state and not self.grammar_state.accept(token)):
            self.ended = True  # no token is allowed, or the model's scores are not numbers
        else:
            self.ids.append(token)
            self.log_p.append(log_p)
            self._go_on()

    def _go_on(self) -> None:
        forced = self.grammar_state.forced_tokens() if self.grammar_state else []
        room = self.limit - len(self.ids)
        self.ids.extend(forced[:room])
        if self.grammar_state and self.grammar_state.has_ended:
            self.ended, self.finished = True, self.grammar_state.is_complete and len(forced) <= room
        self.ended = self.ended or len(self.ids) >= self.limit


class _Batch:
    """Answers that are being written, those in slots 0 to n - 1 of the cache, and those that wait, longest first."""

    def __init__(
        self, model: LanguageModel, start: int, grammar: Grammar | None, answers: Sequence[_Answer]
    ) -> None:
        self._model, self._start, self._grammar = model, start, grammar
        self._head = VocabularyHead(model.model)
        self._running: list[_Answer] = []
        self._waiting = sorted(answers, key=len, reverse=True)
        self._empty_cache()

    def run(self) -> None:
        while self._waiting or self._running:
            new = self._waiting[: self._admitted()]
            if not runs_within_memory(lambda: self._step(new), divisible=len(self._running) + len(new) > 1):  # noqa: B023
                self._retreat(new)

    def _admitted(self) -> int:
        """How many of those waiting come in now. None as long as few could: they are cheaper together."""
        if not self._waiting:
            return 0
        longest = len(self._waiting[0])
        widest = max(longest, *map(len, self._running), 0) + self._waiting[0].limit
        slots = min(_MOST_ROWS, max(1, self._model.kept_tokens // widest))
        room = min(slots - len(self._running), len(self._waiting))
        if self._running and room < min(len(self._waiting), max(1, slots // 4)):
            return 0
        return max(1, min(room, self._model.batch_tokens // longest))

    def _step(self, new: list[_Answer]) -> None:
        """Evaluates what is new of the rows that come in, or else of those that run, and lets each choose a token."""
        first, answers = (len(self._running), new) if new else (0, self._running)
        kept = [0] * len(new) or self._cache.lengths
        tokens = [answer.behind(length) for answer, length in zip(answers, kept, strict=True)]
        hidden = self._forward(first, tokens)
        is_open = self._allowed(answers)  # while a device computes
        ends = list(accumulate(map(len, tokens)))
        forced = iter(self._forced(hidden, answers, ends))
        chosen = self._choose(hidden[[end - 1 for end in ends]], is_open)
        # Nothing changes before memory sufficed for all of it.
        self._cache.commit()
        if new:
            self._running += new
            del self._waiting[: len(new)]
        for answer, (token, log_p) in zip(answers, chosen, strict=True):
            answer.accept([next(forced) for _ in answer.unread], token, log_p, self._model.tokenizer.stop_ids)
        self._drop_done()

    def _forward(self, first: int, tokens: list[list[int]]) -> Tensor:
        """The hidden states [N, D] of the rows' new tokens, one row behind another."""
        ids, columns = self._cache.begin(first, tokens)
        with attention.continuing(self._cache):
            return self._model.hidden(ids, position_ids=columns + self._start)[0]

    def _forced(self, hidden: Tensor, answers: Sequence[_Answer], ends: Sequence[int]) -> list[float]:
        """The log-probabilities of all unread tokens: each is read off the token before it."""
        unread = [answer.unread for answer in answers]
        tokens = torch.tensor([token for row in unread for token in row], device=hidden.device)
        positions = [
            end - 1 - len(row) + n for end, row in zip(ends, unread, strict=True) for n in range(len(row))
        ]
        found: list[float] = []
        for some in torch.arange(len(positions)).split(max(1, LOGITS_AT_ONCE // self._head.size)):
            if len(some):
                logits = self._head(hidden[[positions[n] for n in some.tolist()]])
                found += _log_p(logits, tokens[some.to(hidden.device)]).tolist()
        return found

    def _allowed(self, answers: Sequence[_Answer]) -> Tensor | None:
        """[B, V]: true where a row may go on with a token; None where all may with any."""
        if self._grammar is None:
            return None
        states = [answer.grammar_state for answer in answers if answer.grammar_state]
        bits = torch.from_numpy(allowed(self._grammar.vocabulary, states)).view(torch.uint8)
        shifts = torch.arange(8, dtype=torch.uint8, device=self._model.device)
        single = (bits.to(self._model.device)[..., None] >> shifts) & 1
        return single.flatten(1)[:, : self._head.size].bool()

    def _choose(self, hidden: Tensor, is_open: Tensor | None) -> list[tuple[int, float]]:
        """The most probable allowed token of each row, and its log-probability among all: -inf where none is."""
        logits = self._head(hidden)
        held = logits if is_open is None else logits.masked_fill(~is_open, float("-inf"))
        tokens = held.argmax(-1)
        log_p = _log_p(logits, tokens)
        if is_open is not None:
            log_p = log_p.masked_fill(~is_open.any(-1), float("-inf"))
        return list(zip(tokens.tolist(), log_p.tolist(), strict=True))

    def _drop_done(self) -> None:
        for slot in range(len(self._running) - 1, -1, -1):
            if self._running[slot].done:
                self._cache.remove(slot)
                last = self._running.pop()
                if slot < len(self._running):
                    self._running[slot] = last

    def _retreat(self, new: list[_Answer]) -> None:
        """Memory ran out: fewer rows come in at once or, where others run already, fewer run at once."""
        if not self._running:
            self._model.lower_batch_tokens(len(new) * len(new[0]))
            return
        held = sum(map(len, self._running + new))
        self._waiting = sorted(self._running + self._waiting, key=len, reverse=True)
        self._running = []
        self._empty_cache()
        self._model.lower_kept_tokens(held)

    def _empty_cache(self) -> None:
        self._cache = RaggedKVCache(self._model.device, self._model.model.dtype)


def _log_p(logits: Tensor, tokens: Tensor) -> Tensor:
    """Of one token in each row of float32 logits [N, V]: [N]."""
    return logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
