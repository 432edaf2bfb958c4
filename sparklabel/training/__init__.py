"""The companion job: human answers in, a gated model version out."""

from sparklabel.training.companion import finetune
from sparklabel.training.report import TrainingReport

__all__ = ["TrainingReport", "finetune"]
