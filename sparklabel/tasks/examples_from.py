"""Where a task's examples come from, when they are not written into it: people's answers in a table."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_EXAMPLES = 100


class ExamplesFrom(BaseModel):
    """`count` human answers to the task in `table`, shown in every prompt.

    "similar": for each row those whose inputs are most alike to it. "diverse": the same for all rows, chosen to cover
    the answers and to differ. Which version of the table they are read from is no part of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Annotated[str, Field(pattern=r"\S")]
    count: Annotated[int, Field(strict=True, ge=1, le=MOST_EXAMPLES)]
    choice: Literal["similar", "diverse"]

    @model_validator(mode="before")
    @classmethod
    def _may_be_a_list(cls, source: Any) -> Any:
        """(table, count, choice), as YAML's lists too."""
        if isinstance(source, list | tuple):
            if len(source) != 3:
                raise ValueError('write it as (table, count, "similar") or (table, count, "diverse")')
            return dict(zip(("table", "count", "choice"), source, strict=True))
        return source
