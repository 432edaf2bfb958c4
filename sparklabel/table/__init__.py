"""A task's columns in a Delta table: found, added, read and merged. No model runs here."""

from sparklabel.table.history import passes
from sparklabel.table.listings import answers, failures
from sparklabel.table.restore import RestoreReport, restore_answers
from sparklabel.table.undo import UndoReport, undo_pass

__all__ = ["RestoreReport", "UndoReport", "answers", "failures", "passes", "restore_answers", "undo_pass"]
