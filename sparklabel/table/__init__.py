"""A task's columns in a Delta table: how they are found, added, read and merged. No pass in it."""

from sparklabel.table.failures import failures
from sparklabel.table.history import passes
from sparklabel.table.undo import UndoReport, undo_pass

__all__ = ["UndoReport", "failures", "passes", "undo_pass"]
