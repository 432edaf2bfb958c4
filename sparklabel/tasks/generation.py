"""Generation: what the instructions ask for, as free text or as a struct of fields."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from pydantic import field_validator, model_validator

from sparklabel.tasks.answer_modes import Generated, ParsedAnswer, Span, WrittenField, one_field
from sparklabel.tasks.comparison import text_agreement
from sparklabel.tasks.json_values import plain_examples
from sparklabel.tasks.schema import Fields, fields_as_written, prompt_lines, sql_type
from sparklabel.tasks.structs import checked_text, struct_mode, struct_text
from sparklabel.tasks.task import Count, Task


class Generation(Task):
    """What do the instructions ask to write for each row? The value is a text, or a struct if there are `fields`."""

    kind: Literal["generation"] = "generation"
    fields: Fields = ()
    max_tokens: Count = 256

    _plain_examples = field_validator("examples")(plain_examples)

    @model_validator(mode="after")
    def _instructions_and_right_examples(self) -> "Generation":
        if not self.instructions.strip():
            raise ValueError("the instructions must say what to write")
        for example in self.examples:
            if not self.answer_mode.accepts(example.answer):
                raise ValueError(
                    f"an example is answered {example.answer!r}, which is not a value of this task"
                )
        return self

    @property
    def value_type(self) -> str:
        return sql_type(self.fields) if self.fields else "STRING"

    @property
    def answer_mode(self) -> Generated:
        if self.fields:
            return struct_mode(self.fields, self.max_tokens)
        return Generated(
            schema=None, max_tokens=self.max_tokens, read=_read, written=str.strip, accepts=_accepts,
            categories=_categories, agreement=_agreement,
            field_agreement=partial(one_field, _agreement), signature=("text",), metrics="generation",
        )  # fmt: skip

    def question(self) -> str:
        """The instructions, then a line for each field, if there are fields."""
        if not self.fields:
            return self.instructions.strip()
        null = "; null where nothing fits" if any(field.nullable for field in self.fields) else ""
        return (
            f"{self.instructions.strip()}\nFields:\n{prompt_lines(self.fields)}\n"
            f"Answer with one JSON object that has the fields in this order{null}."
        )

    def verbalize(self, answer: Any) -> str:
        return struct_text(self.fields, answer) if self.fields else str(answer).strip()

    def to_dict(self) -> dict[str, Any]:
        fields = {"fields": fields_as_written(self.fields)} if self.fields else {}
        return super().to_dict() | fields


def _read(text: str, inputs: Sequence[str]) -> ParsedAnswer:
    """The text without surrounding whitespace. Raises ValueError if nothing is left."""
    value = checked_text(text).strip()
    if not value:
        raise ValueError("the model wrote nothing")
    start = text.index(value)
    return ParsedAnswer(value, (WrittenField("text", (Span(start, start + len(value)),)),))


def _accepts(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _categories(value: Any) -> tuple[str, ...]:
    return ("answered",)


def _agreement(gold: Any, value: Any) -> float:
    if not (_accepts(gold) and _accepts(value)):
        return 0.0
    return text_agreement(gold, value)
