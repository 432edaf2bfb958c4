"""What a browser sends, checked: rows that it wants, events of a person.

In: JSON text. Out: frozen records with no surprises in them: no NaN, no half characters, no unbounded numbers. Which
values a task accepts is decided in `answer_values`; who did it, and when, is never read from a browser.
"""

import json
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

MAX_EVENTS = 1000
MAX_ROWS = 100
_LONGEST_KEY = 10_000
_LONGEST_NOTE = 10_000
_DAY = 86_400.0
Text = Annotated[str, Field(strict=True)]
Hash = Annotated[str, Field(strict=True, min_length=1, max_length=200)]
Found = TypeVar("Found", bound=BaseModel)


def _seconds(value: object) -> float | None:
    """A duration, or None: a clock that a laptop's sleep confused is no reason to lose an answer."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(float(value), _DAY) if is_number and value >= 0 else None  # type: ignore[operator,arg-type]


def _share(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= 1 else None  # type: ignore[operator,arg-type]


class _FromBrowser(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ShownIn(_FromBrowser):
    """The suggestion that the browser showed."""

    value: Any = None
    confidence: Annotated[float | None, BeforeValidator(_share)] = None
    by: Literal["model", "probe", "none"] = "none"


class BeforeIn(_FromBrowser):
    """Whose answer the row had when the browser drew it."""

    value: Any = None
    reviewer: Annotated[Text | None, Field(max_length=1000)] = None
    reviewed_at: Annotated[Text | None, Field(max_length=100)] = None


class EventIn(_FromBrowser):
    """An event as a browser sends it. `id` is the row's input hash; `key` its key, as the row came with it."""

    event_id: Annotated[str, Field(strict=True, pattern=r"^[\w-]{1,64}$")]
    id: Hash
    key: Annotated[Text | None, Field(max_length=_LONGEST_KEY)] = None
    kind: Literal["answer", "skip", "flag", "undo", "resolve"]
    value: Any = None
    seconds: Annotated[float | None, BeforeValidator(_seconds)] = None
    note: Annotated[Text | None, Field(max_length=_LONGEST_NOTE)] = None
    shown: ShownIn | None = None
    before: BeforeIn | None = None


class EventsIn(_FromBrowser):
    """A batch of events, and the rows that wait in the browser. `reviewer`: whose page it is."""

    events: tuple[EventIn, ...]
    reviewer: Annotated[Text | None, Field(max_length=1000)] = None
    have: Annotated[tuple[Hash, ...], Field(max_length=MAX_EVENTS)] = ()


class FilterIn(_FromBrowser):
    """Which rows a person wants: all of these conditions."""

    label: Any = None
    confidence_below: float | None = Field(default=None, ge=0, le=1)
    search: Annotated[Text | None, Field(max_length=1000)] = None
    status: Annotated[Text | None, Field(max_length=100)] = None

    @property
    def is_empty(self) -> bool:
        """Whether every row fits."""
        return self.label is None and self.confidence_below is None and not self.search and not self.status


class NextIn(_FromBrowser):
    """A request for rows. `reviewer`: whose page it is."""

    reviewer: Annotated[Text | None, Field(max_length=1000)] = None

    have: Annotated[tuple[Hash, ...], Field(max_length=MAX_EVENTS)] = ()
    count: Annotated[int, Field(ge=0, le=MAX_ROWS)] = 20
    filter: FilterIn = FilterIn()


class RowsIn(_FromBrowser):
    """A request for a page of the list of rows, from 1."""

    filter: FilterIn = FilterIn()
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class BulkIn(_FromBrowser):
    """One answer for all rows of a filter. `count` is how many these are, as the person was told."""

    filter: FilterIn
    value: Any
    count: Annotated[int, Field(ge=1)]


class BulkUndoIn(_FromBrowser):
    """The ID of the bulk whose answers are taken back."""

    bulk: Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{12}$")]


def parsed(content: bytes, kind: type[Found]) -> Found:
    """The record that a request's body holds. Raises ValueError, whose text says what is wrong with it."""
    try:
        found = json.loads(content, parse_constant=_no_constant)
        json.dumps(found, ensure_ascii=False).encode()  # half a character cannot be written anywhere
        return kind.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place or 'the request'}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise ValueError("the request is not JSON in UTF-8") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
