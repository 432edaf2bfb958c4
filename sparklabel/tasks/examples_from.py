"""Examples that come from the human answers in a table, instead of being written into the task."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_EXAMPLES = 100


class ExamplesFrom(BaseModel):
    """`count` human answers to the task in `table`, shown in every prompt.

    "similar": for each row the answers whose inputs are most similar to it. "diverse": the same answers for all rows,
    which cover the categories and differ from each other. The version of the table is not part of this definition.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Annotated[str, Field(pattern=r"\S")]
    count: Annotated[int, Field(strict=True, ge=1, le=MAX_EXAMPLES)]
    choice: Literal["similar", "diverse"]

    @model_validator(mode="before")
    @classmethod
    def _may_be_a_list(cls, source: Any) -> Any:
        """Accepts (table, count, choice) as a tuple, or as a list in YAML."""
        if isinstance(source, list | tuple):
            if len(source) != 3:
                raise ValueError('write it as (table, count, "similar") or (table, count, "diverse")')
            return dict(zip(("table", "count", "choice"), source, strict=True))
        return source
