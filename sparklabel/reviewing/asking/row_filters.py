"""Which rows fit what a person looks for.

In: a filter from the browser. Out: a function of a row, or the inputs to look among. Probe scores play no part: label
and confidence are those that the table holds.
"""

from collections.abc import Callable, Iterable, Mapping

from sparklabel.reviewing.records import ReviewRow
from sparklabel.reviewing.requests import FilterIn
from sparklabel.reviewing.resolve import canonical

FLAGGED, DISPUTED, UNLABELED = "flagged", "disputed", "unlabeled"
NOTE = "These rows were looked for, not drawn at random: their answers teach models and judge none."


def row_filter(wanted: FilterIn) -> Callable[[ReviewRow], bool]:
    """Whether a row fits label, confidence, text and the status of its record."""
    search = wanted.search.casefold() if wanted.search else ""
    label = None if wanted.label is None else canonical(wanted.label)
    status = None if wanted.status in (None, "", FLAGGED, DISPUTED) else wanted.status

    def fits(row: ReviewRow) -> bool:
        if status is not None and (row.label.status or UNLABELED) != status:
            return False
        if label is not None and not _has(row, label):
            return False
        if wanted.confidence_below is not None and (row.label.confidence or 0.0) >= wanted.confidence_below:
            return False
        return not search or any(search in text.casefold() for text in row.inputs if text)

    return fits


def looked_among(wanted: FilterIn, sets: Mapping[str, Iterable[str]]) -> Iterable[str] | None:
    """The inputs that are flagged or disputed, if these are wanted; None: all. `sets` has them by name."""
    return sets.get(wanted.status or "")


def _has(row: ReviewRow, label: str) -> bool:
    """Whether the model said it; of a list, whether it is one of them."""
    value = row.label.model_value
    return canonical(value) == label or (
        isinstance(value, list) and any(canonical(one) == label for one in value)
    )
