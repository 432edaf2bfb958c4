"""Extraction: named fields of a text. The model writes JSON under a schema of the fields; the value is a struct."""

from typing import Any, Literal

from pydantic import field_validator, model_validator

from sparklabel.tasks.answer_modes import Generated
from sparklabel.tasks.json_values import plain_examples
from sparklabel.tasks.schema import Fields, fields_as_written, prompt_lines, sql_type
from sparklabel.tasks.structs import struct_mode, struct_of, struct_text
from sparklabel.tasks.task import Count, Task


class Extraction(Task):
    """What does the text say about each of `fields`? A field that it does not mention is null.

    `max_tokens` limits the length of an answer; without it the fields decide.
    """

    kind: Literal["extraction"] = "extraction"
    fields: Fields
    max_tokens: Count | None = None

    _plain_examples = field_validator("examples")(plain_examples)

    @model_validator(mode="after")
    def _examples_have_the_fields(self) -> "Extraction":
        for example in self.examples:
            try:
                struct_of(self.fields, example.answer)
            except ValueError as error:
                raise ValueError(f"an example's answer does not fit: {error}") from None
        return self

    @property
    def value_type(self) -> str:
        return sql_type(self.fields)

    @property
    def answer_mode(self) -> Generated:
        return struct_mode(self.fields, self.max_tokens)

    def question(self) -> str:
        """The instructions, then a line for each field."""
        null = "; null where the text does not say" if any(f.nullable for f in self.fields) else ""
        return (
            f"{self.instructions.strip() or 'Extract these fields from the text.'}\nFields:\n"
            f"{prompt_lines(self.fields)}\nAnswer with one JSON object that has the fields in this order{null}."
        )

    def verbalize(self, answer: Any) -> str:
        return struct_text(self.fields, answer)

    def to_dict(self) -> dict[str, Any]:
        """Fields as a mapping name -> type, or name -> its definition."""
        return super().to_dict() | {"fields": fields_as_written(self.fields)}
