"""One labeling pass over a Delta table: pending rows are planned, answered, staged and merged."""

from sparklabel.labeling.label_stream import label_stream
from sparklabel.labeling.label_table import label_table
from sparklabel.labeling.report import PassReport
from sparklabel.labeling.state.answer_cache import cache_summary, clear_cache
from sparklabel.labeling.state.tidy import TidyReport, tidy

__all__ = ["PassReport", "TidyReport", "cache_summary", "clear_cache", "label_stream", "label_table", "tidy"]
