"""One answer while it is written.

In: a row's prompt, then the tokens that the model chooses. Out: the answer's tokens with their log-probabilities, and
the tokens that the model has yet to read. It knows no tensors, and no other rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from sparklabel.language_model.decoding.grammar import GrammarState


@dataclass(slots=True, eq=False)
class AnswerInProgress:
    """A row and what is written for it so far.

    The row's tokens are `prompt` and `ids`. Tokens that the grammar forces are appended to `ids` before the model has
    read them, so the last of `ids` may still lack their `log_p`. `finished`: the model stopped, or the grammar allows
    no more. `admission` grows with each admission to the batch: the highest is the youngest row. `may_repeat`: the
    answer is not ended when its last tokens were written five times in a row.
    """

    prompt: Sequence[int]
    max_tokens: int
    grammar_state: GrammarState | None
    ids: list[int] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)
    finished: bool = False
    ended: bool = False
    admission: int = 0
    may_repeat: bool = True

    def __post_init__(self) -> None:
        self._append_forced()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.ids)

    def tokens_after(self, kept: int) -> list[int]:
        """The tokens after the first `kept`, which the cache holds."""
        known = len(self.prompt)
        return self.ids[kept - known :] if kept >= known else [*self.prompt[kept:], *self.ids]

    @property
    def unscored(self) -> list[int]:
        """Forced tokens whose log-probability is not known yet."""
        return self.ids[len(self.log_p) :]

    @property
    def is_done(self) -> bool:
        return self.ended and len(self.ids) == len(self.log_p)

    def score_forced(self, log_p: Sequence[float]) -> None:
        """Takes the log-probabilities of the `unscored` tokens."""
        self.log_p.extend(log_p)

    def accept(self, token: int, log_p: float, stop_ids: Sequence[int]) -> None:
        """Takes the token that the model chose next, unless the answer has ended already. A `log_p` that is not finite
        ends the answer: no token is allowed, or the model's scores are not numbers."""
        if self.ended:
            return
        if not math.isfinite(log_p):
            self.ended = True
        elif token in stop_ids:
            self.finished = self.ended = True
        elif self.grammar_state and not self.grammar_state.accept(token):
            self.ended = True
        else:
            self.ids.append(token)
            self.log_p.append(log_p)
            self._append_forced()

    def _append_forced(self) -> None:
        forced = self.grammar_state.forced_tokens() if self.grammar_state else []
        room = self.max_tokens - len(self.ids)
        self.ids.extend(forced[:room])
        if self.grammar_state and self.grammar_state.has_ended:
            self.ended = True
            self.finished = self.grammar_state.is_complete and len(forced) <= room
        self.ended = self.ended or len(self.ids) >= self.max_tokens
        self.ended = self.ended or (not self.may_repeat and repeats(self.ids))


_BLOCKS = range(10, 200)
"""Tokens of what may be repeated: one item of a list, up to ten. Shorter blocks may be words of one text."""
_TIMES = 5
"""The first and the last block may be parts of items: three whole items are left that repeat one, as it takes
to end a list there (see `sparklabel.tasks.repetition`)."""


def repeats(ids: Sequence[int]) -> bool:
    """Whether the last tokens are the same block five times."""
    return any(
        ids[-1] == ids[-1 - size] and ids[-size * _TIMES : -size] == ids[-size * (_TIMES - 1) :]
        for size in _BLOCKS[: max(0, len(ids) // _TIMES - _BLOCKS.start + 1)]
    )
