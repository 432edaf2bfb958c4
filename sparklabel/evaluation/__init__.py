"""Evaluation: how good a model's answers are, and whether their confidence can be trusted."""

from sparklabel.evaluation.calibrate import CalibrationReport, calibrate
from sparklabel.evaluation.evaluate import EvaluationReport, evaluate
from sparklabel.evaluation.metrics.summary import Metrics, measure

__all__ = ["CalibrationReport", "EvaluationReport", "Metrics", "calibrate", "evaluate", "measure"]
