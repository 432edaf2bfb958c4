"""Matching: do two records describe the same thing? "yes" and "no" are scored; the value is a boolean."""

from typing import Any, Literal

from pydantic import field_validator, model_validator

from sparklabel.tasks.answer_modes import Scored
from sparklabel.tasks.choices import one_of
from sparklabel.tasks.task import Task, column_title

_WORDS = {True: "yes", False: "no"}


class Matching(Task):
    """Do `left` and `right`, each one or several columns of a row, describe the same thing?

    `inputs` are the left columns, then the right ones; a definition need not name them. `prior` is that of
    `Classification`.
    """

    kind: Literal["matching"] = "matching"
    left: tuple[str, ...]
    right: tuple[str, ...]
    prior: Literal["content_free"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _inputs_are_both_sides(cls, fields: Any) -> Any:
        """Also accepts the inputs that `to_dict` wrote, if they are the same columns."""
        if not isinstance(fields, dict):
            return fields
        both = (*_columns(fields.get("left")), *_columns(fields.get("right")))
        if fields.keys() >= {"left", "right", "inputs"} and _columns(fields["inputs"]) != both:
            raise ValueError("inputs must be the left columns, then the right ones: leave it out")
        return {**fields, "inputs": both}

    @field_validator("left", "right", mode="before")
    @classmethod
    def _one_column_may_be_a_string(cls, columns: object) -> object:
        return (columns,) if isinstance(columns, str) else columns

    @field_validator("left", "right")
    @classmethod
    def _sides_have_columns(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if not columns:
            raise ValueError("name at least one column")
        return columns

    @model_validator(mode="after")
    def _examples_are_truth_values(self) -> "Matching":
        for example in self.examples:
            if not isinstance(example.answer, bool):
                raise ValueError(f"an example is answered {example.answer!r}, which is not true or false")
        return self

    @property
    def value_type(self) -> str:
        return "BOOLEAN"

    @property
    def answer_mode(self) -> Scored:
        """True or false, whichever is more probable."""
        return one_of(
            tuple(_WORDS),
            tuple(_WORDS.values()),
            metrics="matching",
            prior_correction=self.prior is not None,
        )

    def question(self) -> str:
        """The instructions, then which fields belong to which record."""
        left, right = (", ".join(map(column_title, side)) for side in (self.left, self.right))
        return (
            f"{self.instructions.strip() or 'Do the two records describe the same thing?'}\n"
            f"First record: {left}. Second record: {right}.\nAnswer with exactly one of these words: yes, no."
        )

    def verbalize(self, answer: Any) -> str:
        return _WORDS[answer]


def _columns(columns: Any) -> tuple[Any, ...]:
    """One column or several, as a tuple. Anything else is refused by the field's own check."""
    if isinstance(columns, str):
        return (columns,)
    return tuple(columns) if isinstance(columns, list | tuple) else ()
