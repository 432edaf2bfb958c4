"""From a template and rows to token ids: a prefix that all rows share, and what follows it.

In: a template, a tokenizer, rows of text. Out: token ids. Everything except the chat format is tokenized so that it can
never become a special token. Text from a row can therefore never leave the user's turn.
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
"""How many examples' tokens are kept."""

_MIN_ROOM = 16
CHARS_PER_TOKEN = 20
"""Text beyond this many characters for each token of context is cut before it is tokenized: it fits in no language."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A row's token ids after the shared prefix. `truncated`: an input was cut to fit the context. `candidates`: the
    numbers of the choices that it may be answered with; empty: all of them."""

    ids: TokenPath
    truncated: bool
    candidates: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A part of a prompt: its tokens, and the kind of the template's `Piece` that they come from."""

    kind: str
    ids: TokenPath


@dataclass(frozen=True, slots=True)
class RowCandidates:
    """The text that lists a row's candidate labels, and their numbers among all choices."""

    text: str
    choices: tuple[int, ...]


class PromptEncoder:
    """Renders rows with a template. `reserve` tokens of the context are kept for the answer."""

    def __init__(self, template: PromptTemplate, tokenizer: Tokenizer, reserve: int) -> None:
        self.template, self.tokenizer = template, tokenizer
        encoded = [self._encode(number) for number in range(len(template.pieces))]
        first, kinds = encoded.index(None), [piece.kind for piece in template.pieces]
        self.prefix: TokenPath = tuple(i for ids in encoded[:first] if ids is not None for i in ids)
        behind = zip(encoded[first:], kinds[first:], strict=True)
        self._rest = [ids for ids, kind in behind if kind not in ("choices", "examples")]
        self.takes_candidates = "choices" in kinds
        self._fixed = len(self.prefix) + sum(len(ids) for ids in self._rest if ids is not None)
        fixed = self._fixed + reserve
        self.room = tokenizer.context - fixed
        if self.room < _MIN_ROOM:
            raise TaskError(
                f"The instructions and labels take {fixed} of the model's {tokenizer.context} tokens of context.",
                hint="Shorten the instructions, examples or label descriptions, give each row some of the labels "
                "(candidates=20), or use a model with a longer context.",
            )
        # Most examples are near to many rows.
        self._block = lru_cache(_BLOCKS_KEPT)(lambda text: tokenizer.encode_rows([text])[0])

    def check_room_for(self, candidates: CandidateLabels) -> None:
        """Raises TaskError if the longest labels that a row can get leave no room for the row."""
        lengths = sorted(map(len, self.tokenizer.encode_rows(candidates.meanings)))
        longest = sum(lengths[-candidates.count :]) + 2 * candidates.count
        if longest + _MIN_ROOM > self.room:
            raise TaskError(
                f"{candidates.count} labels with their descriptions can take {longest} tokens, and the prompt has room "
                f"for {self.room}.",
                hint="Lower candidates=, or shorten the descriptions.",
            )

    def shorter(self, tokens: int) -> "PromptEncoder":
        """The same, for prompts of at most `tokens` tokens, the shared prefix included."""
        made = copy(self)
        made.room = min(self.room, max(tokens - self._fixed, _MIN_ROOM))
        return made

    def encode(
        self,
        rows: Sequence[Sequence[str]],
        examples: Sequence[Sequence[str]] | None = None,
        candidates: Sequence[RowCandidates] | None = None,
    ) -> list[Prompt]:
        """Renders rows.

        Args:
            rows: One text per input in each row. If a row is too long, its longest inputs are cut at token boundaries.
            examples: The examples of each row, as `example_text` gives them, the most important last. As many of the
                last ones are shown as fit beside the row's whole inputs.
            candidates: The candidate labels of each row. All of them are shown.
        """
        limit = self.tokenizer.context * CHARS_PER_TOKEN
        ids = iter(self.tokenizer.encode_rows([_field(text, limit) for row in rows for text in row]))
        made, listed = [RowCandidates("", ())] * len(rows), [list[int]()] * len(rows)
        if candidates and self.takes_candidates:
            made, listed = (
                list(candidates),
                self.tokenizer.encode_rows([f"\n\n{one.text}" for one in candidates]),
            )
        return [
            self._prompt(
                [next(ids) for _ in row], any(len(t.strip()) > limit for t in row), shown, own, one.choices
            )
            for row, shown, own, one in zip(rows, examples or [()] * len(rows), listed, made, strict=True)
        ]

    def parts(self, row: Sequence[str]) -> tuple[PromptPart, ...]:
        """A row's whole prompt by where its tokens come from, without examples and candidates of its own."""
        limit = self.tokenizer.context * CHARS_PER_TOKEN
        fields = _cut(self.tokenizer.encode_rows([_field(text, limit) for text in row]), self.room)
        inputs = iter(fields)
        fixed = ((piece.kind, self._encode(number)) for number, piece in enumerate(self.template.pieces))
        return tuple(
            PromptPart(kind, tuple(next(inputs) if ids is None else ids))
            for kind, ids in fixed
            if kind not in ("choices", "examples")
        )

    def _prompt(
        self,
        fields: list[list[int]],
        truncated: bool,
        shown: Sequence[str],
        listed: list[int],
        candidates: tuple[int, ...],
    ) -> Prompt:
        room = max(self.room - len(listed), _MIN_ROOM)
        taken = sum(map(len, fields))
        if taken > room:
            fields, truncated = _cut(fields, room), True
        inputs = iter(fields)
        rest = (i for ids in self._rest for i in (next(inputs) if ids is None else ids))
        return Prompt((*listed, *self._shown(shown, room - taken), *rest), truncated, candidates)

    def _shown(self, examples: Sequence[str], room: int) -> list[int]:
        """As many of the last examples as fit into `room`, in order, under their title; nothing if none fits."""
        blocks = [self._block("\n\nExamples:")]
        room -= len(blocks[0])
        for text in reversed(examples):
            block = self._block(f"\n\n{text}")
            if (room := room - len(block)) < 0:
                break
            blocks.insert(1, block)
        return list(chain.from_iterable(blocks)) if len(blocks) > 1 else []

    def _encode(self, number: int) -> list[int] | None:
        """The ids of a piece at its place; None for a piece that each row fills in."""
        piece = self.template.pieces[number]
        if piece.kind in ("input", "choices", "examples"):
            return None
        if piece.kind == "special":
            return self.tokenizer.encode(piece.text, inside=number > 0)
        before = self.template.pieces[number - 1] if number else Piece("special", "")
        behind = before.text if before.kind == "special" else None
        return self.tokenizer.encode_rows([piece.text], behind=behind)[0]


def _field(text: str, limit: int) -> str:
    """An input as it is tokenized: with a blank before it, its first word has the token that it has in the middle of a
    sentence."""
    return " " + text.strip()[:limit]


def _cut(fields: list[list[int]], room: int) -> list[list[int]]:
    """The longest of the inputs, cut so that all fit into `room`."""
    kept = shares([len(ids) for ids in fields], room)
    return [ids[:count] for ids, count in zip(fields, kept, strict=True)]


def shares(lengths: Sequence[int], room: int) -> list[int]:
    """How much of each length is kept so that all fit into `room`: equal shares; what short ones leave goes to the
    others."""
    kept = [0] * len(lengths)
    for number, i in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        kept[i] = min(lengths[i], room // (len(lengths) - number))
        room -= kept[i]
    return kept
