"""Labeling in place: a Delta table's pending rows are answered, staged and merged. Delta is spoken to in SQL."""

from sparklabel.table.cache import cache_summary, clear_cache
from sparklabel.table.failed_rows import failures
from sparklabel.table.history import passes
from sparklabel.table.labeling import label_table
from sparklabel.table.report import PassReport
from sparklabel.table.streaming import label_stream
from sparklabel.table.undo import UndoReport, undo_pass

__all__ = [
    "PassReport",
    "UndoReport",
    "cache_summary",
    "clear_cache",
    "failures",
    "label_stream",
    "label_table",
    "passes",
    "undo_pass",
]
