"""Evaluation: how good answers are, and whether their confidence can be trusted."""

from sparklabel.evaluation.calibration import CalibrationReport, calibrate
from sparklabel.evaluation.metrics import Metrics, measure
from sparklabel.evaluation.rows import EvaluationReport, evaluate

__all__ = ["CalibrationReport", "EvaluationReport", "Metrics", "calibrate", "evaluate", "measure"]
