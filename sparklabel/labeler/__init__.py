"""The labeler: rows in, labels out, with any engine. No Spark in it."""

from sparklabel.labeler.labeler import Labeler, withheld
from sparklabel.labeler.prepared_task import Question

__all__ = ["Labeler", "Question", "withheld"]
