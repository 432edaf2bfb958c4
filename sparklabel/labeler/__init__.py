"""The labeler: rows in, labels out, with any engine. It does not know Spark."""

from sparklabel.labeler.labeler import Labeler, abstain_below
from sparklabel.labeler.prepared_task import PreparedTask
from sparklabel.labeler.row_classifier import RowClassifier, row_classifier

__all__ = ["Labeler", "PreparedTask", "RowClassifier", "abstain_below", "row_classifier"]
