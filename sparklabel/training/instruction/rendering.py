"""From a table's rows to pieces to learn: what Spark's tasks do, without Spark.

In: rows (key, inputs, answer). Out: pieces, each a prompt's token ids with those of its answer, or the reason why a row
teaches nothing. What is drawn, such as the examples of a prompt, is a function of the seed and of the row.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from sparklabel.errors import TaskError
from sparklabel.few_shot import ShownExample
from sparklabel.labeler import PreparedTask
from sparklabel.language_model.training.packs import Piece
from sparklabel.prompts import PromptEncoder, RowCandidates, Tokenizer, candidate_labels, example_text
from sparklabel.prompts.templates import chat_template
from sparklabel.splits import input_key, is_held_out
from sparklabel.tasks import Generated, Scored, Task
from sparklabel.tasks.multilabel import Multilabel, says_yes
from sparklabel.texts import is_blank
from sparklabel.training.instruction.mixture import Draw
from sparklabel.training.instruction.relisting import is_relisted, relisted

LEARNED, HELD_OUT, EMPTY, REFUSED = "learned", "held out", "the input is empty", "not an answer to the task"
_QUESTIONS = 4
"""Of a task with several questions a row, such as a multilabel one with a yes or no for each label, so many are learned
each time the row is: all of them would be the same prompt once for each label."""


class AnsweredRow(NamedTuple):
    """A row: a text that is its own (its key), its inputs, in the task's order, and its right answer."""

    key: str
    inputs: tuple[str | None, ...]
    answer: Any


def use_of(task: Task, row: AnsweredRow) -> str:
    """What becomes of a row: LEARNED, HELD_OUT, EMPTY or REFUSED."""
    if all(map(is_blank, row.inputs)):
        return EMPTY
    if not task.answer_mode.accepts(row.answer):
        return REFUSED
    return HELD_OUT if is_held_out(row.inputs) else LEARNED


def shown_example(task: Task, row: AnsweredRow) -> str:
    """A learned row as a prompt shows it to others."""
    mode = task.answer_mode
    answer = (
        "\n".join(mode.verbalized[number] for number in mode.chosen(row.answer))
        if isinstance(mode, Scored) and not mode.groups
        else task.verbalize(row.answer)
    )
    return example_text(task, ShownExample(tuple(text or "" for text in row.inputs), answer))


@dataclass(frozen=True)
class Renderer:
    """Renders the rows of one source.

    Attributes:
        source: Its number among those that teach.
        task: What is asked.
        tokenizer: The base's.
        size: Of a pack, in tokens: the longest piece.
        few_shot: The fewest and the most examples of a prompt.
        shuffle_labels: Whether each prompt lists labels, types or fields anew.
        seed: Of what is drawn.
        pool: The examples that prompts show, each with the key of its input.
    """

    source: int
    task: Task
    tokenizer: Tokenizer
    size: int
    few_shot: tuple[int, int]
    shuffle_labels: bool
    seed: int
    pool: tuple[tuple[tuple[str, ...], str], ...]

    def pieces(self, rows: Iterable[tuple[AnsweredRow, int]]) -> Iterator[tuple[int, Piece, bool] | None]:
        """For each row and the number of its copy its pieces, each with its place in the order of all, and whether its
        input was truncated; None for one that does not fit."""
        for row, copy in rows:
            drawn = random.Random(self._hash(f"{copy}", row.key))
            texts = [text or "" for text in row.inputs]
            for number, choice in enumerate(self._choices(row.answer, drawn)):
                found = self._piece(texts, row, choice, drawn)
                place = int.from_bytes(self._hash(f"{copy}.{number}", row.key)[:8], "big", signed=True)
                yield found and (place, *found)

    def copies(self, row: AnsweredRow, draw: Draw) -> int:
        """How often a row is shown, as chance has it: not at all, if it is not among those that teach."""
        if self._chance("taken", row) >= draw.share:
            return 0
        return int(draw.copies) + (self._chance("copies", row) < draw.copies % 1)

    def _chance(self, what: str, row: AnsweredRow) -> float:
        """A number in [0, 1)."""
        return int.from_bytes(self._hash(what, row.key)[:8]) / 2**64

    def _hash(self, what: str, key: str) -> bytes:
        """Of a row's key, of this seed, task and source."""
        text = f"{self.seed}\0{self.task.fingerprint}\0{self.source}\0{what}\0{key}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    def _choices(self, answer: Any, drawn: random.Random) -> list[int]:
        """What is learned of a row: the numbers of choices; -1 for a text."""
        mode = self.task.answer_mode
        if isinstance(mode, Generated):
            return [-1]
        chosen = list(mode.chosen(answer))
        if len(chosen) <= _QUESTIONS:
            return chosen
        # Drawn by chance, but of many labels few apply: one that does is among them, lest only "no" is learned.
        applying = list(filter(says_yes, chosen)) if isinstance(self.task, Multilabel) else []
        sure = [drawn.choice(applying)] if applying else []
        others = [choice for choice in chosen if choice not in sure]
        return sorted([*sure, *drawn.sample(others, _QUESTIONS - len(sure))])

    def _piece(
        self, texts: list[str], row: AnsweredRow, choice: int, drawn: random.Random
    ) -> tuple[Piece, bool] | None:
        task, answer, examples = self.task, row.answer, self._examples(row, drawn)
        if self._relists:
            task, answer = relisted(task, answer, choice, drawn, with_examples=bool(examples))
        ids = self._answer(task, answer, choice)
        encoder = self._encoder(task, len(ids), bool(examples))
        room = self.size - len(ids)
        candidates = self._candidates(choice, drawn)
        (prompt,) = encoder.shorter(room).encode([texts], [examples] if examples else None, candidates)
        whole = (*encoder.prefix, *prompt.ids)
        if len(whole) > room:
            return None
        return Piece(whole, ids, self.source), prompt.truncated

    def _answer(self, task: Task, answer: Any, choice: int) -> tuple[int, ...]:
        """The token ids of an answer, with the one that ends it."""
        mode, stop = task.answer_mode, self.tokenizer.stop_ids[0]
        if isinstance(mode, Generated):
            (ids,) = self.tokenizer.encode_rows([mode.written(answer)])
            return (*ids, stop)
        return (*self._plain.trie.paths[choice], stop)

    def _examples(self, row: AnsweredRow, drawn: random.Random) -> list[str]:
        """Those of this row's prompt: never its own text."""
        count = drawn.randint(*self.few_shot)
        if not (count and self.pool):
            return []
        own = input_key(row.inputs)
        others = [text for key, text in drawn.sample(self.pool, min(count + 1, len(self.pool))) if key != own]
        return others[:count]

    def _encoder(self, task: Task, reserve: int, with_examples: bool) -> PromptEncoder:
        """What renders a row of the task as it is listed, whose answer has so many tokens."""
        if task is self.task:
            encoder: Any = (self._with_examples if with_examples else self._plain).encoder
            return encoder
        template = chat_template(task, self.tokenizer, by_row=with_examples)
        return PromptEncoder(template, self.tokenizer, reserve)

    def _candidates(self, choice: int, drawn: random.Random) -> list[RowCandidates] | None:
        """For a task of which each prompt lists some labels: the right one among others, in any order."""
        labels = candidate_labels(self.task)
        if labels is None:
            return None
        others = [number for number in range(len(labels.options)) if number != choice]
        listed = [choice, *drawn.sample(others, min(labels.count - 1, len(others)))]
        drawn.shuffle(listed)
        return [RowCandidates(labels.text(listed), tuple(listed))]

    @cached_property
    def _relists(self) -> bool:
        return self.shuffle_labels and is_relisted(self.task)

    @cached_property
    def _plain(self) -> PreparedTask:
        return PreparedTask.of(self.task, self.tokenizer)

    @cached_property
    def _with_examples(self) -> PreparedTask:
        template = chat_template(self.task, self.tokenizer, by_row=True)
        return PreparedTask.rendered(self.task, self.tokenizer, template)


def check_fits(task: Task, tokenizer: Tokenizer, size: int) -> None:
    """Raises TaskError if the task's instructions leave no room for a row in a pack."""
    prepared = PreparedTask.of(task, tokenizer)
    encoder: Any = prepared.encoder
    longest = max(map(len, prepared.label_ids), default=1)
    fixed = len(encoder.shorter(0).encode([[""] * len(task.inputs)])[0].ids) + len(encoder.prefix)
    if fixed + longest + 1 > size:
        raise TaskError(
            f"The instructions and labels of the task {task.name!r} take {fixed} tokens, and a pack has {size}.",
            hint="Raise max_tokens of the TrainingConfig, or shorten the instructions.",
        )


def keyed_pool(task: Task, rows: Sequence[AnsweredRow]) -> list[tuple[tuple[str, ...], str]]:
    """The pool of a renderer from learned rows."""
    return [(input_key(row.inputs), shown_example(task, row)) for row in rows]
