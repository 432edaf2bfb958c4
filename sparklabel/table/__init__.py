"""Labeling in place: a Delta table's pending rows are answered, staged and merged. Delta is spoken to in SQL."""

from sparklabel.table.passes import label_table
from sparklabel.table.report import PassReport

__all__ = ["PassReport", "label_table"]
