"""The table's side in a process of its own, as far as that needs no Spark."""

from sparklabel.reviewing.table.process import PROGRESS_LINES
from sparklabel.reviewing.table.sides import TableSide


def test_each_request_says_what_is_done():
    requests = {name for name in vars(TableSide) if not name.startswith("_")} - {"close"}
    assert PROGRESS_LINES.keys() == requests
