"""Templates: the pieces of a task's prompt.

In: a task, and the chat format of a tokenizer. Out: trusted text with special tokens (the chat format), plain text
(instructions, examples), and placeholders for what each row fills in. A fine-tuned model carries the template that it
was trained with (see `PromptTemplate.to_dict`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sparklabel.few_shot import ShownExample
from sparklabel.prompts.tokenizer import Tokenizer
from sparklabel.tasks import CandidateLabels, Scored, Task
from sparklabel.tasks.task import column_title


@dataclass(frozen=True, slots=True)
class Piece:
    """`special`: trusted text that may contain special tokens; `plain`: text; `input`: the name of an input; `choices`
    and `examples`: placeholders, before the inputs, for the candidate labels and examples of each row."""

    kind: Literal["special", "plain", "input", "choices", "examples"]
    text: str


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The pieces in order, with one piece after the inputs. `answer_lead` comes before every answer."""

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
    """For a model without fine-tuning: one user message with the instructions first and the row last, then the
    assistant's header.

    A model without a chat template gets the same text, followed by "Answer:". Examples are the task's own, or those
    `shown` to every row; with `by_row` there is a placeholder for each row's examples after what all rows share.
    """
    chat = tokenizer.chat()
    # A blank and the word after it are one token, so no piece may end with a blank.
    (before, blanks), (after, lead) = map(_cut_blanks, chat or (tokenizer.bos, ""))
    opening = [Piece("special", before)] if before else []
    head = f"{blanks}{task.question()}"
    own = [Piece("choices", "")] if candidate_labels(task) else []
    own += [Piece("examples", "")] if by_row else []
    if own:
        examples = "" if by_row else f"\n\n{_examples(task, shown)}".rstrip("\n")
        fields = [Piece("plain", head + examples), *own, *_fields(task, "\n\n")]
    else:
        fields = _fields(task, f"{head}\n\n{_examples(task, shown)}")
    if chat:
        return PromptTemplate((*opening, *fields, Piece("special", after)), lead + tokenizer.chat_lead())
    return PromptTemplate((*opening, *fields, Piece("plain", "\n\nAnswer:")), answer_lead=" ")


def candidate_labels(task: Task) -> CandidateLabels | None:
    """The task's candidate labels, if each row gets only some of them; otherwise None."""
    mode = task.answer_mode
    return mode.candidate_labels if isinstance(mode, Scored) else None


def bare_template(task: Task, tokenizer: Tokenizer) -> PromptTemplate:
    """For a fine-tuned model: the row and the task's name. It learned the instructions in training."""
    opening = [Piece("special", tokenizer.bos)] if tokenizer.bos else []
    return PromptTemplate(
        (*opening, *_fields(task, ""), Piece("plain", f"\n{column_title(task.name)}:")), answer_lead=" "
    )


def _cut_blanks(text: str) -> tuple[str, str]:
    """The text without the blanks at its end, and these blanks."""
    kept = text.rstrip(" ")
    return kept, text[len(kept) :]


def _fields(task: Task, head: str) -> list[Piece]:
    pieces: list[Piece] = []
    for number, name in enumerate(task.inputs):
        pieces.append(Piece("plain", f"{head if number == 0 else chr(10)}{column_title(name)}:"))
        pieces.append(Piece("input", name))
    return pieces


def _examples(task: Task, shown: Sequence[ShownExample]) -> str:
    own = [ShownExample(example.inputs, task.verbalize(example.answer)) for example in task.examples]
    blocks = [example_text(task, example) + "\n\n" for example in (*own, *shown)]
    return "Examples:\n\n" + "".join(blocks) if blocks else ""


def example_text(task: Task, example: ShownExample) -> str:
    """An example as prompts show it: its inputs, rendered as those of a row, and its answer."""
    fields = zip(task.inputs, example.inputs, strict=True)
    return (
        "\n".join(f"{column_title(name)}: {text.strip()}" for name, text in fields)
        + f"\nAnswer: {example.answer}"
    )


def fitting(task: Task, tokenizer: Tokenizer, shown: Sequence[ShownExample]) -> Sequence[ShownExample]:
    """As many of the first examples as fit into half of the context: the row needs the other half."""
    room = tokenizer.context // 2
    for number, ids in enumerate(tokenizer.encode_rows([example_text(task, example) for example in shown])):
        if (room := room - len(ids)) < 0:
            return shown[:number]
    return shown
