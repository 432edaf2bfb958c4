"""sparklabel: label Delta tables in place with language models inside Spark, and fine-tune on people's answers.

The names below are the public API. They are loaded when first used, so that `import sparklabel` costs nothing on a
worker that needs only a part.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparklabel.benchmarking.report import BenchmarkReport
    from sparklabel.benchmarking.run import benchmark
    from sparklabel.delta.session import spark_session
    from sparklabel.engines.options import FakeOptions, OpenAIOptions, TransformersOptions, VllmOptions
    from sparklabel.errors import SparklabelError
    from sparklabel.evaluation.calibrate import CalibrationReport, calibrate
    from sparklabel.evaluation.evaluate import EvaluationReport, evaluate
    from sparklabel.labeled_table import LabeledTable, open_table
    from sparklabel.labeling.label_stream import label_stream
    from sparklabel.labeling.label_table import label_table
    from sparklabel.labeling.report import PassReport
    from sparklabel.labeling.state.answer_cache import cache_summary, clear_cache
    from sparklabel.labeling.state.tidy import TidyReport, tidy
    from sparklabel.labels.record import Label
    from sparklabel.language_model.training.config import TrainingConfig
    from sparklabel.models.references import DEFAULT
    from sparklabel.reviewing.agreement_report import AgreementReport, agreement
    from sparklabel.reviewing.report import ReviewReport
    from sparklabel.reviewing.serve import ReviewApp, review
    from sparklabel.reviewing.suspicious import suspicious
    from sparklabel.table.history import passes
    from sparklabel.table.listings import answers, failures
    from sparklabel.table.restore import RestoreReport, restore_answers
    from sparklabel.table.undo import UndoReport, undo_pass
    from sparklabel.tasks import (
        Task,
        answering,
        classification,
        entities,
        extraction,
        generation,
        load_task,
        matching,
        multilabel,
        rating,
    )
    from sparklabel.training.finetune import finetune
    from sparklabel.training.instruction.file import load_mixture
    from sparklabel.training.instruction.mixture import Mixture, Source, mixture, source
    from sparklabel.training.instruction.report import InstructionReport
    from sparklabel.training.instruction.tune import instruction_tune
    from sparklabel.training.report import TrainingReport
    from sparklabel.training.runs.comparison import RunComparison, compare_runs
    from sparklabel.training.runs.records import QueuedRun, QueuedRuns
    from sparklabel.training.runs.search import Grid, Tpe, grid, tpe
    from sparklabel.training.runs.submit import cancel_run, retry_run, runs, submit
    from sparklabel.training.runs.work import work
    from sparklabel.udf import label_udf, register, register_all

__version__ = "0.1.0"

_HOMES = {
    "AgreementReport": "reviewing.agreement_report",
    "BenchmarkReport": "benchmarking.report",
    "CalibrationReport": "evaluation",
    "DEFAULT": "models.references",
    "EvaluationReport": "evaluation",
    "FakeOptions": "engines",
    "Grid": "training.runs.search",
    "InstructionReport": "training.instruction.report",
    "Label": "labels.record",
    "LabeledTable": "labeled_table",
    "Mixture": "training.instruction.mixture",
    "OpenAIOptions": "engines",
    "PassReport": "labeling",
    "QueuedRun": "training.runs.records",
    "QueuedRuns": "training.runs.records",
    "RestoreReport": "table",
    "ReviewApp": "reviewing.serve",
    "ReviewReport": "reviewing.report",
    "RunComparison": "training.runs.comparison",
    "Source": "training.instruction.mixture",
    "SparklabelError": "errors",
    "Task": "tasks",
    "TidyReport": "labeling",
    "Tpe": "training.runs.search",
    "TrainingConfig": "language_model.training.config",
    "TrainingReport": "training.report",
    "TransformersOptions": "engines",
    "UndoReport": "table",
    "VllmOptions": "engines",
    "agreement": "reviewing.agreement_report",
    "answering": "tasks",
    "answers": "table",
    "benchmark": "benchmarking.run",
    "cache_summary": "labeling",
    "calibrate": "evaluation",
    "cancel_run": "training.runs.submit",
    "classification": "tasks",
    "clear_cache": "labeling",
    "compare_runs": "training.runs.comparison",
    "entities": "tasks",
    "evaluate": "evaluation",
    "extraction": "tasks",
    "failures": "table",
    "finetune": "training.finetune",
    "generation": "tasks",
    "grid": "training.runs.search",
    "instruction_tune": "training.instruction.tune",
    "label_stream": "labeling",
    "label_table": "labeling",
    "label_udf": "udf",
    "load_mixture": "training.instruction.file",
    "load_task": "tasks",
    "matching": "tasks",
    "mixture": "training.instruction.mixture",
    "multilabel": "tasks",
    "open_table": "labeled_table",
    "passes": "table",
    "rating": "tasks",
    "register": "udf",
    "register_all": "udf",
    "restore_answers": "table",
    "retry_run": "training.runs.submit",
    "review": "reviewing.serve",
    "runs": "training.runs.submit",
    "source": "training.instruction.mixture",
    "spark_session": "delta.session",
    "submit": "training.runs.submit",
    "suspicious": "reviewing.suspicious",
    "tidy": "labeling",
    "tpe": "training.runs.search",
    "undo_pass": "table",
    "work": "training.runs.work",
}

__all__ = [
    "DEFAULT",
    "AgreementReport",
    "BenchmarkReport",
    "CalibrationReport",
    "EvaluationReport",
    "FakeOptions",
    "Grid",
    "InstructionReport",
    "Label",
    "LabeledTable",
    "Mixture",
    "OpenAIOptions",
    "PassReport",
    "QueuedRun",
    "QueuedRuns",
    "RestoreReport",
    "ReviewApp",
    "ReviewReport",
    "RunComparison",
    "Source",
    "SparklabelError",
    "Task",
    "TidyReport",
    "Tpe",
    "TrainingConfig",
    "TrainingReport",
    "TransformersOptions",
    "UndoReport",
    "VllmOptions",
    "agreement",
    "answering",
    "answers",
    "benchmark",
    "cache_summary",
    "calibrate",
    "cancel_run",
    "classification",
    "clear_cache",
    "compare_runs",
    "entities",
    "evaluate",
    "extraction",
    "failures",
    "finetune",
    "generation",
    "grid",
    "instruction_tune",
    "label_stream",
    "label_table",
    "label_udf",
    "load_mixture",
    "load_task",
    "matching",
    "mixture",
    "multilabel",
    "open_table",
    "passes",
    "rating",
    "register",
    "register_all",
    "restore_answers",
    "retry_run",
    "review",
    "runs",
    "source",
    "spark_session",
    "submit",
    "suspicious",
    "tidy",
    "tpe",
    "undo_pass",
    "work",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sparklabel' has no attribute {name!r}")
    return getattr(import_module(f"sparklabel.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
