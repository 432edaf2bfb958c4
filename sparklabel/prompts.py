"""Prompts: a task and a row become token ids, a shared prefix and what follows it.

In: a task, a tokenizer, rows of text. Out: token ids. A template is a list of pieces: trusted text with special
tokens (the chat format), plain text (instructions, examples), and the places of the inputs. Everything except the
chat format is tokenised so that it can never become a special token; row text can therefore never leave the user's
turn. A fine-tuned model carries the template that it was trained with (see `to_dict`).
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Literal, Protocol

from sparklabel.constraints import TokenPath
from sparklabel.errors import ModelError, TaskError
from sparklabel.few_shot import ShownExample
from sparklabel.tasks import Task
from sparklabel.tasks.task import column_title

_BLOCKS_KEPT = 4096
"""Examples whose tokens are remembered."""

_LEAST_ROOM = 16
_CHARS_PER_TOKEN = 20
"""Text beyond this many characters for each token of context is cut unread: it could not fit in any language."""


class Tokenizer(Protocol):
    """What prompts need of a tokenizer. `bos` is the text of the token that must come first, or empty.

    Some tokenizers put a blank before whatever they are given. Text that is `inside` a prompt, and rows unless they
    come right `behind` trusted text that is followed by such a blank, are encoded without it.
    """

    bos: str
    stop_ids: tuple[int, ...]
    context: int

    def encode(self, text: str, *, inside: bool = False) -> list[int]: ...
    def encode_rows(self, texts: Sequence[str], *, behind: str | None = None) -> list[list[int]]: ...
    def chat(self) -> tuple[str, str] | None: ...
    def chat_lead(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """`special`: trusted text in which special tokens count; `plain`: text; `input`: the name of an input;
    `examples`: the place of those that each row has of its own, before the inputs."""

    kind: Literal["special", "plain", "input", "examples"]
    text: str


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The pieces in order, the inputs last but for one piece; `answer_lead` goes before every answer."""

    pieces: tuple[Piece, ...]
    answer_lead: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"pieces": [asdict(piece) for piece in self.pieces], "answer_lead": self.answer_lead}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "PromptTemplate":
        return cls(tuple(Piece(**piece) for piece in fields["pieces"]), fields["answer_lead"])


def chat_template(
    task: Task, tokenizer: Tokenizer, shown: Sequence[ShownExample] = (), *, by_row: bool = False
) -> PromptTemplate:
    """Untrained: one user message with the instructions first and the row last, then the assistant's header.

    A model without a chat template gets the same text, ended by "Answer:". Examples are the task's own, or those
    `shown` to every row; with `by_row` there is a place for each row's, behind what all rows share.
    """
    chat = tokenizer.chat()
    # A blank and the word behind it are one token: no piece may end with a blank.
    (before, blanks), (after, lead) = map(_cut_blanks, chat or (tokenizer.bos, ""))
    opening = [Piece("special", before)] if before else []
    head = f"{blanks}{task.question()}"
    if by_row:
        fields = [Piece("plain", head), Piece("examples", ""), *_fields(task, "\n\n")]
    else:
        fields = _fields(task, f"{head}\n\n{_examples(task, shown)}")
    if chat:
        return PromptTemplate((*opening, *fields, Piece("special", after)), lead + tokenizer.chat_lead())
    return PromptTemplate((*opening, *fields, Piece("plain", "\n\nAnswer:")), answer_lead=" ")


def bare_template(task: Task, tokenizer: Tokenizer) -> PromptTemplate:
    """For a fine-tuned model: the row and the task's name, nothing else. The training is the instruction."""
    opening = [Piece("special", tokenizer.bos)] if tokenizer.bos else []
    return PromptTemplate(
        (*opening, *_fields(task, ""), Piece("plain", f"\n{column_title(task.name)}:")), answer_lead=" "
    )


def _cut_blanks(text: str) -> tuple[str, str]:
    """The text, and the blanks that it ended with."""
    kept = text.rstrip(" ")
    return kept, text[len(kept) :]


def _fields(task: Task, head: str) -> list[Piece]:
    pieces: list[Piece] = []
    for number, name in enumerate(task.inputs):
        pieces.append(Piece("plain", f"{head if number == 0 else chr(10)}{column_title(name)}:"))
        pieces.append(Piece("input", name))
    return pieces


def _examples(task: Task, shown: Sequence[ShownExample]) -> str:
    own = [ShownExample(example.inputs, task.spoken(example.answer)) for example in task.examples]
    blocks = [example_text(task, example) + "\n\n" for example in (*own, *shown)]
    return "Examples:\n\n" + "".join(blocks) if blocks else ""


def example_text(task: Task, example: ShownExample) -> str:
    """An example as prompts show it: its inputs as a row has them, and the answer."""
    fields = zip(task.inputs, example.inputs, strict=True)
    return (
        "\n".join(f"{column_title(name)}: {text.strip()}" for name, text in fields)
        + f"\nAnswer: {example.answer}"
    )


@dataclass(frozen=True, slots=True)
class Prompt:
    """A row's token ids behind the shared prefix. `truncated`: an input was cut to fit the context."""

    ids: TokenPath
    truncated: bool


class PromptEncoder:
    """Renders rows with a template. `reserve` tokens of the context are kept for the answer."""

    def __init__(self, template: PromptTemplate, tokenizer: Tokenizer, reserve: int) -> None:
        self.template, self._tokenizer = template, tokenizer
        encoded = [self._encode(number) for number in range(len(template.pieces))]
        first = encoded.index(None)
        self.prefix: TokenPath = tuple(i for ids in encoded[:first] if ids is not None for i in ids)
        self._rest = encoded[first + (template.pieces[first].kind == "examples") :]
        self._fixed = len(self.prefix) + sum(len(ids) for ids in self._rest if ids is not None)
        fixed = self._fixed + reserve
        self.room = tokenizer.context - fixed
        if self.room < _LEAST_ROOM:
            raise TaskError(
                f"The instructions and labels take {fixed} of the model's {tokenizer.context} tokens of context.",
                hint="Shorten the instructions, examples or label descriptions, or use a model with a longer context.",
            )
        # Most examples are near to many rows.
        self._block = lru_cache(_BLOCKS_KEPT)(lambda text: tokenizer.encode_rows([text])[0])

    def shorter(self, tokens: int) -> "PromptEncoder":
        """The same for prompts of at most so many tokens, the shared prefix among them."""
        made = copy(self)
        made.room = min(self.room, max(tokens - self._fixed, _LEAST_ROOM))
        return made

    def encode(
        self, rows: Sequence[Sequence[str]], examples: Sequence[Sequence[str]] | None = None
    ) -> list[Prompt]:
        """One text per input in each row. A row that is too long has its longest inputs cut, at token boundaries.

        `examples` has each row's own, as `example_text` gives them, the most important last: as many of the last as
        fit beside the row's whole inputs are shown.
        """
        limit = self._tokenizer.context * _CHARS_PER_TOKEN
        # A blank before the text keeps a row's first word the token that it is in the middle of a sentence.
        texts = [" " + text.strip()[:limit] for row in rows for text in row]
        ids = iter(self._tokenizer.encode_rows(texts))
        return [
            self._prompt([next(ids) for _ in row], any(len(t.strip()) > limit for t in row), shown)
            for row, shown in zip(rows, examples or [()] * len(rows), strict=True)
        ]

    def _prompt(self, fields: list[list[int]], truncated: bool, shown: Sequence[str]) -> Prompt:
        taken = sum(map(len, fields))
        if taken > self.room:
            kept = shares([len(ids) for ids in fields], self.room)
            fields, truncated = [ids[:count] for ids, count in zip(fields, kept, strict=True)], True
        inputs = iter(fields)
        rest = (i for ids in self._rest for i in (next(inputs) if ids is None else ids))
        return Prompt((*self._shown(shown, self.room - taken), *rest), truncated)

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
        if piece.kind in ("input", "examples"):
            return None
        if piece.kind == "special":
            return self._tokenizer.encode(piece.text, inside=number > 0)
        before = self.template.pieces[number - 1] if number else Piece("special", "")
        behind = before.text if before.kind == "special" else None
        return self._tokenizer.encode_rows([piece.text], behind=behind)[0]


def fitting(task: Task, tokenizer: Tokenizer, shown: Sequence[ShownExample]) -> Sequence[ShownExample]:
    """As many of the first examples as take half of the context: the row needs the rest."""
    room = tokenizer.context // 2
    for number, ids in enumerate(tokenizer.encode_rows([example_text(task, example) for example in shown])):
        if (room := room - len(ids)) < 0:
            return shown[:number]
    return shown


def shares(lengths: Sequence[int], room: int) -> list[int]:
    """How much of each length fits into `room` together: equal parts, and what short ones leave to the others."""
    kept = [0] * len(lengths)
    for number, i in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        kept[i] = min(lengths[i], room // (len(lengths) - number))
        room -= kept[i]
    return kept


def answer_ids(
    template: PromptTemplate, tokenizer: Tokenizer, answers: Sequence[str]
) -> tuple[TokenPath, ...]:
    """Each answer's token ids behind the prompt, tokenised jointly with the prompt's last piece.

    Raises TaskError where joint tokenisation does not begin with that piece's own ids: such an answer would be scored
    along tokens that the model never writes.
    """
    last = template.pieces[-1].text
    header = tokenizer.encode(last, inside=True)
    paths = []
    for answer in answers:
        joint = tokenizer.encode(last + template.answer_lead + answer, inside=True)
        apart = tokenizer.encode_rows([template.answer_lead + answer])[0]
        if joint[: len(header)] != header or joint[len(header) :] != apart:
            raise TaskError(
                f"The label {answer!r} does not tokenise cleanly behind the prompt.", hint="Respell it."
            )
        paths.append(tuple(apart))
    return tuple(paths)


def check_same_ids(recorded: Sequence[Sequence[int]], now: Sequence[Sequence[int]], model: str) -> None:
    """Raises ModelError when a fine-tuned model's label ids are not what its tokenizer gives today."""
    if [list(path) for path in recorded] != [list(path) for path in now]:
        raise ModelError(f"The label ids that {model} was trained with are not those of its tokenizer.")
