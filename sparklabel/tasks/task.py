"""What all kinds of tasks share: name, inputs, instructions, examples, the fingerprint, reading and writing YAML.

In: the fields of a definition. Out: a frozen record. A task says what is asked, not how it is computed: engines and
prompts live elsewhere.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sparklabel.arguments import did_you_mean
from sparklabel.errors import TaskError
from sparklabel.tasks.answer_modes import AnswerMode, Scored
from sparklabel.tasks.examples_from import ExamplesFrom
from sparklabel.tasks.identifiers import Identifier

Count = Annotated[int, Field(strict=True, ge=1)]
"""A whole number above 0: neither True nor a text."""


class Example(BaseModel):
    """A worked example for the prompt: one text per input of the task, and the right answer, which is a value of the
    task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[str, ...]
    answer: Any

    def __hash__(self) -> int:
        # Tasks are keys of caches, and an answer may be a list or a dict.
        return hash(self.inputs)


class Task(BaseModel):
    """A question that is asked of every row. Each subclass is a kind, with its value's SQL type and its answer mode.

    Use the functions of `sparklabel` (such as `classification(...)`) to make one, or `load_task` to read one from YAML.

    Attributes:
        kind: The kind's name.
        name: The task's name, which also names its columns.
        inputs: The columns that it reads.
        instructions: The guidelines for people and models.
        examples: Worked examples for the prompt.
        examples_from: The table that examples are taken from instead.
        on_too_long: Whether a row that does not fit into the model's context is cut, or fails.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: Identifier
    inputs: tuple[str, ...]
    instructions: StrictStr = ""
    examples: tuple[Example, ...] = ()
    examples_from: ExamplesFrom | None = None
    on_too_long: Literal["cut", "fail"] = "cut"

    @classmethod
    def build(cls, **fields: Any) -> Self:
        """The task, validated. All problems are named in one TaskError."""
        try:
            return cls(**fields)
        except ValidationError as error:
            raise TaskError(
                f"The task {str(fields.get('name', ''))!r} cannot be used: {_problems(cls, error, fields)}",
                hint=f"The fields of a task of kind {fields.get('kind')!r} are: {', '.join(cls.model_fields)}.",
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
                f"{error.object[error.start : error.end]!r} is half a character (a surrogate), which no file can hold"
            ) from None
        return self

    @property
    def fingerprint(self) -> str:
        """Identifies what decides an answer, apart from the model. The task's name is not part of it."""
        # Defaults are left out, so that a field that a later release adds does not relabel every table.
        content = {"kind": self.kind, **self.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)}
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        # The version stands for what the content lacks: the wording of prompts, which a test pins.
        return "v1:" + hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def value_type(self) -> str:
        """The SQL type of its values."""
        return "STRING"

    @property
    def needs_every_input(self) -> bool:
        """Whether every input of a row must have text. Otherwise one input with text is enough."""
        return False

    @property
    def answer_mode(self) -> AnswerMode:
        """How the task is answered."""
        raise NotImplementedError(f"{type(self).__name__} has no answer mode")

    def question(self) -> str:
        """What is asked, as the prompt says it before the row's inputs."""
        raise NotImplementedError(f"{type(self).__name__} has no question")

    def verbalize(self, answer: Any) -> str:
        """An answer as a language model reads and writes it."""
        return str(answer)

    def to_dict(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as YAML holds them."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_defaults=True)}

    def to_yaml(self) -> str:
        """The definition as YAML. `load_task` reads an equal task from it."""
        text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        # Reading would fold Unicode's own line breaks if they were not escaped.
        escaped = bool({"\x85", "\u2028", "\u2029"} & set(text))
        return yaml.safe_dump(self.to_dict(), sort_keys=False) if escaped else text


def has_choices(task: Task) -> bool:
    """Whether an answer is one or some of several choices: neither an expectation nor a written text."""
    mode = task.answer_mode
    return isinstance(mode, Scored) and not mode.ordinal


def check_task(task: object) -> None:
    """Raises TaskError for anything but a task, such as the path of its file."""
    if not isinstance(task, Task):
        raise TaskError(f"A task is what sl.classification(...) or sl.load_task(path) gives, not {task!r}.")


def column_title(column: str) -> str:
    """A column's name as prompts show it: `left_title` becomes "Left title"."""
    return column.replace("_", " ").strip().capitalize()


def _as_example(example: object, columns: tuple[str, ...]) -> object:
    """Takes (inputs, answer), or a mapping with both. The inputs are a text, a list, or texts by column in any
    order."""
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


def _problems(kind: type[BaseModel], error: ValidationError, given: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{_place(problem['loc'], given) or 'task'}: {_problem(kind, problem)}" for problem in error.errors()
    )


def _place(path: tuple[int | str, ...], given: Mapping[str, Any]) -> str:
    """Where the problem is: `fields.total.type`, with the name of a field or label instead of its number."""
    parts = list(map(str, path))
    names = _names(given.get(parts[0])) if parts else []
    if len(path) > 1 and isinstance(path[1], int) and path[1] < len(names):
        parts[1] = names[path[1]]
    return ".".join(parts)


def _names(given: object) -> list[str]:
    """The names of what a field of the task was given: of a mapping, a pydantic model, a JSON schema."""
    if isinstance(given, type) and issubclass(given, BaseModel):
        return list(given.model_fields)
    if not isinstance(given, Mapping):
        return []
    properties = given.get("properties")
    return list(map(str, properties if isinstance(properties, Mapping) else given))


_WRONG_TYPES = {
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a dict",
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "True or False",
    "bool_parsing": "True or False",
    "model_type": "a mapping",
}


def _problem(kind: type[BaseModel], problem: Any) -> str:
    if problem["type"] in _WRONG_TYPES:
        return f"must be {_WRONG_TYPES[problem['type']]}, not {problem['input']!r}"
    if problem["type"] == "missing":
        return "is missing"
    if problem["type"] != "extra_forbidden":
        message = str(problem["msg"]).removeprefix("Value error, ")
        expected = message.removeprefix("Input should be ")
        return message if expected == message else f"must be {expected}, not {problem['input']!r}"
    *path, name = problem["loc"]
    for part in path:
        field = kind.model_fields.get(part) if isinstance(part, str) else None
        kind = _record_in(field.annotation) or kind if field else kind
    return f"there is no such field{did_you_mean(str(name), kind.model_fields)}"


def _record_in(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model that a field's type holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _record_in(part))), None)
