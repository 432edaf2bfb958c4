"""Which rows fit what a person looks for.

In: a filter from the browser. Out: a function of a row. Label and confidence are the model's, as the table holds them;
what depends on people or on the probe is looked up by the session.
"""

from collections.abc import Callable

from sparklabel.reviewing.records import ReviewRow
from sparklabel.reviewing.requests import FilterIn
from sparklabel.reviewing.resolve import canonical

UNLABELED = "unlabeled"
FLAGGED, DISPUTED, ANSWERED, UNANSWERED = BY_PEOPLE = ("flagged", "disputed", "answered", "unanswered")
SUSPICIOUS = "suspicious"
NOTE = "These rows were looked for, not drawn at random: their answers teach models and judge none."


def row_filter(wanted: FilterIn) -> Callable[[ReviewRow], bool]:
    """Whether a row fits label, confidence, text and the status of its record."""
    search = wanted.search.casefold() if wanted.search else ""
    label = None if wanted.label is None else canonical(wanted.label)
    status = None if wanted.status in (None, "", *BY_PEOPLE, SUSPICIOUS) else wanted.status

    def fits(row: ReviewRow) -> bool:
        if status is not None and (row.label.status or UNLABELED) != status:
            return False
        if label is not None and not _has(row, label):
            return False
        if wanted.confidence_below is not None and (row.label.confidence or 0.0) >= wanted.confidence_below:
            return False
        return not search or any(search in text.casefold() for text in row.inputs if text)

    return fits


def looks_at_labels(wanted: FilterIn) -> bool:
    """Whether the rows that fit tell something of their labels, which must not be told of rows that judge models."""
    is_by_people = wanted.status in (None, "", *BY_PEOPLE)
    return wanted.label is not None or wanted.confidence_below is not None or not is_by_people


def _has(row: ReviewRow, label: str) -> bool:
    """Whether the model said it; of a list, whether it is one of them."""
    value = row.label.model_value
    return canonical(value) == label or (
        isinstance(value, list) and any(canonical(one) == label for one in value)
    )


def why_no_rows(waiting: int, answered: int) -> str:
    """What a person is told for whom there is no row.

    Args:
        waiting: Rows that others hold.
        answered: Inputs that have an answer.
    """
    if waiting:
        return "All rows that are left are with other people. They come back if they are not answered."
    if answered:
        return "Everything that was loaded is answered. Start the review again for more, or with --rows."
    return (
        "There are no rows to review: all have a person's answer, or a text that is blank. Look at --where, or at the "
        "table's inputs."
    )
