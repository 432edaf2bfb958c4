"""What every task kind shares: name, inputs, instructions, examples, the fingerprint, YAML in and out.

A task is a frozen record. It says what is asked, never how it is computed: engines and prompts live elsewhere.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator

from sparklabel.errors import TaskError
from sparklabel.tasks.answer_modes import AnswerMode, Scored
from sparklabel.tasks.examples_from import ExamplesFrom
from sparklabel.tasks.identifiers import Identifier


class Example(BaseModel):
    """A worked example for the prompt: one text per input of the task, and the right answer, a value of the task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[str, ...]
    answer: Any

    def __hash__(self) -> int:
        # Tasks are keys of caches, and an answer may be a list or a dict.
        return hash(self.inputs)


class Task(BaseModel):
    """A question asked of every row. Subclasses are the kinds; each says its value's SQL type and how it is answered.

    `on_too_long`: a row that does not fit the model's context has its longest input cut, or is not answered ("fail").

    Built through the functions of `sparklabel` (`classification(...)`), or `load_task` from YAML. Everything wrong
    with the definition is raised as one TaskError that lists each field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: Identifier
    inputs: tuple[str, ...]
    instructions: str = ""
    examples: tuple[Example, ...] = ()
    examples_from: ExamplesFrom | None = None
    on_too_long: Literal["cut", "fail"] = "cut"

    @classmethod
    def build(cls, **fields: Any) -> Self:
        """Validated, with every problem named in one TaskError."""
        try:
            return cls(**fields)
        except ValidationError as error:
            raise TaskError(
                f"The task {str(fields.get('name', ''))!r} is not usable: {_problems(error)}",
                hint=f"A {fields.get('kind', 'task')} takes: {', '.join(cls.model_fields)}.",
            ) from None

    @field_validator("inputs", mode="before")
    @classmethod
    def _one_input_may_be_a_string(cls, inputs: object) -> object:
        return (inputs,) if isinstance(inputs, str) else inputs

    @field_validator("inputs")
    @classmethod
    def _inputs_are_columns(cls, inputs: tuple[str, ...]) -> tuple[str, ...]:
        if not inputs or not all(column.strip() for column in inputs):
            raise ValueError("name at least one input column")
        if len({column.lower() for column in inputs}) < len(inputs):
            raise ValueError(f"a column is named twice in {list(inputs)}")
        return inputs

    @field_validator("examples", mode="before")
    @classmethod
    def _examples_may_be_pairs(cls, examples: object, info: ValidationInfo) -> object:
        if examples is None:
            return ()
        inputs = info.data.get("inputs", ())
        return (
            tuple(_as_example(e, inputs) for e in examples)
            if isinstance(examples, list | tuple)
            else examples
        )

    @model_validator(mode="after")
    def _columns_do_not_collide(self) -> Self:
        owned = {self.name.lower(), f"{self.name.lower()}_label"}
        if clash := [c for c in self.inputs if c.lower() in owned]:
            raise ValueError(f"the input {clash[0]!r} is a column that the task {self.name!r} would write")
        for example in self.examples:
            if len(example.inputs) != len(self.inputs):
                raise ValueError(
                    f"an example has {len(example.inputs)} texts for the inputs {list(self.inputs)}"
                )
        return self

    @model_validator(mode="after")
    def _examples_have_one_source(self) -> Self:
        if self.examples and self.examples_from:
            raise ValueError("give examples or examples_from, not both")
        return self

    @model_validator(mode="after")
    def _text_can_be_written(self) -> Self:
        try:
            json.dumps(self.model_dump(), ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{error.object[error.start : error.end]!r} is half a character: no file can hold it"
            ) from None
        return self

    @property
    def fingerprint(self) -> str:
        """Changes with whatever changes an answer, except the model; the task's name is not in it."""
        # Defaults are left out, so that a field added by a later release does not relabel every table.
        content = {"kind": self.kind, **self.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)}
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        # The number stands for what is not in the content: our own wording of prompts, which
        # tests/unit/prompts/test_prompts.py pins.
        return "v1:" + hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def value_type(self) -> str:
        """The SQL type of its values."""
        return "STRING"

    @property
    def needs_every_input(self) -> bool:
        """Whether a row with a blank input cannot be asked; otherwise one that is not blank will do."""
        return False

    @property
    def answer_mode(self) -> AnswerMode:
        """How an answer comes about."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is answered")

    def question(self) -> str:
        """What is asked, as the prompt says it before the row."""
        raise NotImplementedError(f"{type(self).__name__} does not say its question")

    def verbalize(self, answer: Any) -> str:
        """An answer as a language model reads and writes it."""
        return str(answer)

    def to_dict(self) -> dict[str, Any]:
        """What YAML holds: fields that differ from their defaults."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_defaults=True)}

    def to_yaml(self) -> str:
        """The definition as YAML; `load_task` reads it back to an equal task."""
        text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        # Unicode's own line breaks are folded on the way back, unless they are escaped.
        escaped = bool({"\x85", "\u2028", "\u2029"} & set(text))
        return yaml.safe_dump(self.to_dict(), sort_keys=False) if escaped else text


def has_choices(task: Task) -> bool:
    """Whether an answer is one of choices whose probabilities sum to 1: not an expectation, nor a written one."""
    mode = task.answer_mode
    return isinstance(mode, Scored) and not mode.ordinal


def check_task(task: object) -> None:
    """Raises TaskError for what is none; a file's path, most of the time."""
    if not isinstance(task, Task):
        raise TaskError(f"A task is what sl.classification(...) or sl.load_task(path) gives, not {task!r}.")


def column_title(column: str) -> str:
    """A column's name as prompts say it: `left_title` is "Left title"."""
    return column.replace("_", " ").strip().capitalize()


def _as_example(example: object, columns: tuple[str, ...]) -> object:
    """(inputs, answer), or a mapping with both. The inputs are a text, a list, or texts by column in any order."""
    if isinstance(example, list | tuple) and len(example) == 2:
        example = dict(zip(("inputs", "answer"), example, strict=True))
    if not isinstance(example, Mapping) or "inputs" not in example:
        return example
    texts = example["inputs"]
    if isinstance(texts, Mapping):
        if set(texts) != set(columns):
            raise ValueError(f"an example has texts for {list(texts)}, and the inputs are {list(columns)}")
        texts = tuple(texts[column] for column in columns)
    return {**example, "inputs": (texts,) if isinstance(texts, str) else texts}


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'task'}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors()
    )
