"""Evaluation: how good answers are, and whether their confidence can be trusted."""

from sparklabel.evaluation.metrics import ClassificationMetrics, classification_metrics
from sparklabel.evaluation.rows import EvaluationReport, evaluate

__all__ = ["ClassificationMetrics", "EvaluationReport", "classification_metrics", "evaluate"]
