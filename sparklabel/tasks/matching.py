"""Matching: do two records describe the same thing? Answered by scoring "yes" and "no"; the value is a boolean."""

from typing import Any, Literal

from pydantic import field_validator, model_validator

from sparklabel.tasks.answer_modes import Scored
from sparklabel.tasks.choices import one_of
from sparklabel.tasks.task import Task, column_title

_SPOKEN = {True: "yes", False: "no"}


class Matching(Task):
    """Are `left` and `right`, each one or several columns of a row, one and the same?

    `inputs` follow from them: the left columns, then the right ones; a definition need not name them. `prior` is
    that of classification.
    """

    kind: Literal["matching"] = "matching"
    left: tuple[str, ...]
    right: tuple[str, ...]
    prior: Literal["content_free"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _inputs_are_both_sides(cls, fields: Any) -> Any:
        """Also takes the inputs that `to_dict` wrote, when they are those."""
        if not isinstance(fields, dict):
            return fields
        both = (*_columns(fields.get("left")), *_columns(fields.get("right")))
        if fields.keys() >= {"left", "right", "inputs"} and _columns(fields["inputs"]) != both:
            raise ValueError("the inputs are the left columns, then the right ones: leave `inputs` out")
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
            tuple(_SPOKEN),
            tuple(_SPOKEN.values()),
            metrics="matching",
            prior_correction=self.prior is not None,
        )

    def question(self) -> str:
        """The instructions, then which fields of the prompt are which record."""
        left, right = (", ".join(map(column_title, side)) for side in (self.left, self.right))
        return (
            f"{self.instructions.strip() or 'Do the two records describe the same thing?'}\n"
            f"First record: {left}. Second record: {right}.\nAnswer with exactly one of these words: yes, no."
        )

    def verbalize(self, answer: Any) -> str:
        return _SPOKEN[answer]


def _columns(columns: Any) -> tuple[Any, ...]:
    """One column or several; what is neither is left to the field's own complaint."""
    if isinstance(columns, str):
        return (columns,)
    return tuple(columns) if isinstance(columns, list | tuple) else ()
