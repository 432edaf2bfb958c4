"""From a template and a row to token ids: a prefix that all rows share, and what follows it.

In: a template, a tokenizer, rows of text. Out: token ids. Everything except the chat format is tokenised so that it can
never become a special token; row text can therefore never leave the user's turn.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from sparklabel.errors import TaskError
from sparklabel.label_trie import TokenPath
from sparklabel.prompts.templates import Piece, PromptTemplate
from sparklabel.prompts.tokenizer import Tokenizer
from sparklabel.tasks import CandidateLabels

_BLOCKS_KEPT = 4096
"""Examples whose tokens are remembered."""

_LEAST_ROOM = 16
_CHARS_PER_TOKEN = 20
"""Text beyond this many characters for each token of context is cut unread: it could not fit in any language."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A row's token ids behind the shared prefix. `truncated`: an input was cut to fit the context. `offered`: the
    numbers of the choices that it may be answered with, all where there are none."""

    ids: TokenPath
    truncated: bool
    offered: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidates:
    """The text that lists a row's choices, and their numbers."""

    text: str
    choices: tuple[int, ...]


class PromptEncoder:
    """Renders rows with a template. `reserve` tokens of the context are kept for the answer."""

    def __init__(self, template: PromptTemplate, tokenizer: Tokenizer, reserve: int) -> None:
        self.template, self._tokenizer = template, tokenizer
        encoded = [self._encode(number) for number in range(len(template.pieces))]
        first, kinds = encoded.index(None), [piece.kind for piece in template.pieces]
        self.prefix: TokenPath = tuple(i for ids in encoded[:first] if ids is not None for i in ids)
        behind = zip(encoded[first:], kinds[first:], strict=True)
        self._rest = [ids for ids, kind in behind if kind not in ("choices", "examples")]
        self._takes_offers = "choices" in kinds
        self._fixed = len(self.prefix) + sum(len(ids) for ids in self._rest if ids is not None)
        fixed = self._fixed + reserve
        self.room = tokenizer.context - fixed
        if self.room < _LEAST_ROOM:
            raise TaskError(
                f"The instructions and labels take {fixed} of the model's {tokenizer.context} tokens of context.",
                hint="Shorten the instructions, examples or label descriptions, offer each row some of the labels "
                "(candidates=20), or use a model with a longer context.",
            )
        # Most examples are near to many rows.
        self._block = lru_cache(_BLOCKS_KEPT)(lambda text: tokenizer.encode_rows([text])[0])

    def check_room_for(self, offered: CandidateLabels) -> None:
        """Raises TaskError where the longest choices that a row can be offered leave it no room."""
        lengths = sorted(map(len, self._tokenizer.encode_rows(offered.meanings)))
        longest = sum(lengths[-offered.count :]) + 2 * offered.count
        if longest + _LEAST_ROOM > self.room:
            raise TaskError(
                f"{offered.count} labels with their descriptions can take {longest} tokens, and the prompt has room "
                f"for {self.room}.",
                hint="Offer fewer (candidates=), or shorten their descriptions.",
            )

    def shorter(self, tokens: int) -> "PromptEncoder":
        """The same for prompts of at most so many tokens, the shared prefix among them."""
        made = copy(self)
        made.room = min(self.room, max(tokens - self._fixed, _LEAST_ROOM))
        return made

    def encode(
        self,
        rows: Sequence[Sequence[str]],
        examples: Sequence[Sequence[str]] | None = None,
        offers: Sequence[Candidates] | None = None,
    ) -> list[Prompt]:
        """One text per input in each row. A row that is too long has its longest inputs cut, at token boundaries.

        `examples` has each row's own, as `example_text` gives them, the most important last: as many of the last as
        fit beside the row's whole inputs are shown. `offers` has the choices of each row, which all stay.
        """
        limit = self._tokenizer.context * _CHARS_PER_TOKEN
        # A blank before the text keeps a row's first word the token that it is in the middle of a sentence.
        texts = [" " + text.strip()[:limit] for row in rows for text in row]
        ids = iter(self._tokenizer.encode_rows(texts))
        made, listed = [Candidates("", ())] * len(rows), [list[int]()] * len(rows)
        if offers and self._takes_offers:
            made, listed = (
                list(offers),
                self._tokenizer.encode_rows([f"\n\n{offer.text}" for offer in offers]),
            )
        return [
            self._prompt(
                [next(ids) for _ in row], any(len(t.strip()) > limit for t in row), shown, own, offer.choices
            )
            for row, shown, own, offer in zip(rows, examples or [()] * len(rows), listed, made, strict=True)
        ]

    def _prompt(
        self,
        fields: list[list[int]],
        truncated: bool,
        shown: Sequence[str],
        listed: list[int],
        offered: tuple[int, ...],
    ) -> Prompt:
        room = max(self.room - len(listed), _LEAST_ROOM)
        taken = sum(map(len, fields))
        if taken > room:
            kept = shares([len(ids) for ids in fields], room)
            fields, truncated = [ids[:count] for ids, count in zip(fields, kept, strict=True)], True
        inputs = iter(fields)
        rest = (i for ids in self._rest for i in (next(inputs) if ids is None else ids))
        return Prompt((*listed, *self._shown(shown, room - taken), *rest), truncated, offered)

    def _shown(self, examples: Sequence[str], room: int) -> list[int]:
        """As many of the last examples as `room` holds, in order, under their title; nothing where it holds none."""
        blocks = [self._block("\n\nExamples:")]
        room -= len(blocks[0])
        for text in reversed(examples):
            block = self._block(f"\n\n{text}")
            if (room := room - len(block)) < 0:
                break
            blocks.insert(1, block)
        return list(chain.from_iterable(blocks)) if len(blocks) > 1 else []

    def _encode(self, number: int) -> list[int] | None:
        """The ids of a piece where it stands; None for what each row fills in."""
        piece = self.template.pieces[number]
        if piece.kind in ("input", "choices", "examples"):
            return None
        if piece.kind == "special":
            return self._tokenizer.encode(piece.text, inside=number > 0)
        before = self.template.pieces[number - 1] if number else Piece("special", "")
        behind = before.text if before.kind == "special" else None
        return self._tokenizer.encode_rows([piece.text], behind=behind)[0]


def shares(lengths: Sequence[int], room: int) -> list[int]:
    """How much of each length fits into `room` together: equal parts, and what short ones leave to the others."""
    kept = [0] * len(lengths)
    for number, i in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        kept[i] = min(lengths[i], room // (len(lengths) - number))
        room -= kept[i]
    return kept
