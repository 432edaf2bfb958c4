"""Which human answers may be shown as examples.

In: human answers as a table holds them. Out: candidates, one for each text, in an order that depends on the texts
alone. Held-out answers are never among them: they judge models, and a model that has seen them would pass.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sparklabel.splits import input_key, is_held_out
from sparklabel.tasks import AnswerMode, Scored, Task
from sparklabel.texts import is_blank

MAX_ANSWERS, MAX_CHARACTERS = 20_000, 32_000_000
"""Limits on what every worker receives: answers, and characters of all answers together."""

LONGEST = 8_000
"""Characters of all inputs of one example: a longer one would leave no room for others."""


class AnsweredInput(NamedTuple):
    """A row's inputs, in the task's order, and a person's answer: a value of the task."""

    inputs: tuple[str | None, ...]
    answer: Any


@dataclass(frozen=True, slots=True)
class ShownExample:
    """An example as a prompt shows it: one text per input of the task, and the answer as a model writes it."""

    inputs: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An example that may be shown, and the categories of its answer: a diverse choice covers all categories."""

    example: ShownExample
    categories: tuple[str, ...]


def candidates(task: Task, answers: Iterable[AnsweredInput]) -> list[Candidate]:
    """The usable answers, outside the held-out hash, in the order of a hash of their texts.

    A text that was answered several times counts once, with its most frequent answer.
    """
    votes: dict[tuple[str, ...], list[tuple[ShownExample, tuple[str, ...]]]] = {}
    mode = task.answer_mode
    for inputs, answer in answers:
        if _usable(mode, inputs, answer):
            example = ShownExample(tuple(text or "" for text in inputs), _shown(task, mode, answer))
            votes.setdefault(input_key(inputs), []).append((example, mode.categories(answer)))
    return [Candidate(*_elected(votes[key])) for key in sorted(votes, key=_hash)]


def _shown(task: Task, mode: AnswerMode, answer: Any) -> str:
    """An answer that the task accepts, as a model would write it. A number between two points of a scale is shown as
    the nearest point."""
    if isinstance(mode, Scored):
        return "\n".join(mode.verbalized[number] for number in mode.chosen(answer))
    return task.verbalize(answer)


def bounded(found: list[Candidate]) -> list[Candidate]:
    """As many of the first candidates as workers may receive."""
    kept, characters = [], 0
    for candidate in found[:MAX_ANSWERS]:
        characters += sum(map(len, candidate.example.inputs)) + len(candidate.example.answer)
        if characters > MAX_CHARACTERS:
            break
        kept.append(candidate)
    return kept


def _usable(mode: AnswerMode, inputs: tuple[str | None, ...], answer: Any) -> bool:
    length = sum(len(text or "") for text in inputs)
    return (
        not all(map(is_blank, inputs))
        and length <= LONGEST
        and not is_held_out(inputs)
        and mode.accepts(answer)
    )


def _elected(votes: list[tuple[ShownExample, tuple[str, ...]]]) -> tuple[ShownExample, tuple[str, ...]]:
    """One with the most frequent answer. Which one does not depend on the order of the table's rows."""
    counts = Counter(example.answer for example, _ in votes)
    return min(votes, key=lambda vote: (-counts[vote[0].answer], vote[0].answer, vote[0].inputs))


def _hash(key: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).digest()
