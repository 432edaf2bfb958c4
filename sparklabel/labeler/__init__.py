"""The labeler: rows in, labels out, with any engine. It does not know Spark."""

from sparklabel.labeler.labeler import Labeler, abstain_below
from sparklabel.labeler.prepared_task import PreparedTask

__all__ = ["Labeler", "PreparedTask", "abstain_below"]
