"""The rows of a task as a list, narrowed by a filter, page by page.

In: a task's session, a filter. Out: rows. Nobody is given a row by being shown it here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from sparklabel.reviewing.asking.row_filters import BY_PEOPLE, looks_at_labels
from sparklabel.reviewing.asking.session import TaskSession
from sparklabel.reviewing.records import ReviewRow
from sparklabel.reviewing.requests import FilterIn

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage:
    """A page of what a filter finds.

    Attributes:
        rows: Of this page, at most `PAGE`.
        count: Of all pages.
        number, pages: Which page this is, from 1, and of how many: at least one.
        held_out: How many rows are left out as they judge models: who sees them in a list of a label knows the label.
            They are counted whatever their labels, which the count would tell of a single row.
    """

    rows: Sequence[ReviewRow]
    count: int
    number: int
    pages: int
    held_out: int


def fitting_rows(session: TaskSession, wanted: FilterIn) -> Iterator[ReviewRow]:
    """All rows that fit a filter, in the order in which they were loaded; of suspicious ones the worst come first."""
    names = session.among(wanted)
    rows = session.rows if names is None else filter(None, map(session.row, names))
    return filter(session.fits(wanted), rows)


def row_page(session: TaskSession, wanted: FilterIn, number: int) -> RowPage:
    """A page; the last one if there are fewer."""
    is_by_label = looks_at_labels(wanted)
    shown = [row for row in fitting_rows(session, wanted) if not (is_by_label and row.is_held_out)]
    pages = max(ceil(len(shown) / PAGE), 1)
    number = min(number, pages)
    return RowPage(
        rows=shown[(number - 1) * PAGE : number * PAGE], count=len(shown), number=number, pages=pages,
        held_out=held_out_rows(session, wanted) if is_by_label else 0,
    )  # fmt: skip


def held_out_rows(session: TaskSession, wanted: FilterIn) -> int:
    """How many rows that judge models fit the part of a filter that does not look at labels."""
    status = wanted.status if wanted.status in BY_PEOPLE else None
    blind = wanted.model_copy(update={"label": None, "confidence_below": None, "status": status})
    return sum(row.is_held_out for row in fitting_rows(session, blind))
