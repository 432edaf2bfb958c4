"""Fine-tuning: human answers in, a gated model version out."""

from sparklabel.training.finetune import finetune
from sparklabel.training.report import TrainingReport

__all__ = ["TrainingReport", "finetune"]
