"""sparklabel: label Delta tables in place with language models inside Spark, and fine-tune on people's answers.

The names below are the public API. They are loaded when first used, so that `import sparklabel` costs nothing on a
worker that needs only a part.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from sparklabel.labels.record import Label
    from sparklabel.language_model.training.config import TrainingConfig
    from sparklabel.models.references import DEFAULT
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
    from sparklabel.training.report import TrainingReport
    from sparklabel.udf import label_udf, register, register_all

__version__ = "0.1.0"

_HOMES = {
    "CalibrationReport": "evaluation",
    "DEFAULT": "models.references",
    "EvaluationReport": "evaluation",
    "FakeOptions": "engines",
    "Label": "labels.record",
    "LabeledTable": "labeled_table",
    "OpenAIOptions": "engines",
    "PassReport": "labeling",
    "RestoreReport": "table",
    "SparklabelError": "errors",
    "Task": "tasks",
    "TidyReport": "labeling",
    "TrainingConfig": "language_model.training.config",
    "TrainingReport": "training.report",
    "TransformersOptions": "engines",
    "UndoReport": "table",
    "VllmOptions": "engines",
    "answering": "tasks",
    "answers": "table",
    "cache_summary": "labeling",
    "calibrate": "evaluation",
    "clear_cache": "labeling",
    "classification": "tasks",
    "entities": "tasks",
    "evaluate": "evaluation",
    "extraction": "tasks",
    "failures": "table",
    "finetune": "training.finetune",
    "generation": "tasks",
    "label_stream": "labeling",
    "label_table": "labeling",
    "label_udf": "udf",
    "load_task": "tasks",
    "matching": "tasks",
    "multilabel": "tasks",
    "open_table": "labeled_table",
    "passes": "table",
    "rating": "tasks",
    "register": "udf",
    "register_all": "udf",
    "restore_answers": "table",
    "spark_session": "delta.session",
    "tidy": "labeling",
    "undo_pass": "table",
}

__all__ = [
    "DEFAULT",
    "CalibrationReport",
    "EvaluationReport",
    "FakeOptions",
    "Label",
    "LabeledTable",
    "OpenAIOptions",
    "PassReport",
    "RestoreReport",
    "SparklabelError",
    "Task",
    "TidyReport",
    "TrainingConfig",
    "TrainingReport",
    "TransformersOptions",
    "UndoReport",
    "VllmOptions",
    "answering",
    "answers",
    "cache_summary",
    "calibrate",
    "classification",
    "clear_cache",
    "entities",
    "evaluate",
    "extraction",
    "failures",
    "finetune",
    "generation",
    "label_stream",
    "label_table",
    "label_udf",
    "load_task",
    "matching",
    "multilabel",
    "open_table",
    "passes",
    "rating",
    "register",
    "register_all",
    "restore_answers",
    "spark_session",
    "tidy",
    "undo_pass",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sparklabel' has no attribute {name!r}")
    return getattr(import_module(f"sparklabel.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
