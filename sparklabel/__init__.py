"""sparklabel: label Delta tables in place with language models inside Spark, and fine-tune on people's answers.

The names below are the public API. They are loaded when first used, so that `import sparklabel` costs nothing on a
worker that needs only a part.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparklabel.errors import SparklabelError
    from sparklabel.evaluation import CalibrationReport, EvaluationReport, calibrate, evaluate
    from sparklabel.labels import Label
    from sparklabel.references import DEFAULT
    from sparklabel.session import spark_session
    from sparklabel.table import (
        PassReport,
        UndoReport,
        cache_summary,
        clear_cache,
        failures,
        label_stream,
        label_table,
        passes,
        undo_pass,
    )
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
    from sparklabel.training import TrainingReport, finetune
    from sparklabel.udf import label_udf, register, register_all

__version__ = "0.1.0"

_HOMES = {
    "CalibrationReport": "evaluation",
    "DEFAULT": "references",
    "EvaluationReport": "evaluation",
    "Label": "labels",
    "PassReport": "table",
    "SparklabelError": "errors",
    "Task": "tasks",
    "TrainingReport": "training",
    "UndoReport": "table",
    "answering": "tasks",
    "cache_summary": "table",
    "calibrate": "evaluation",
    "clear_cache": "table",
    "classification": "tasks",
    "entities": "tasks",
    "evaluate": "evaluation",
    "extraction": "tasks",
    "failures": "table",
    "finetune": "training",
    "generation": "tasks",
    "label_stream": "table",
    "label_table": "table",
    "label_udf": "udf",
    "load_task": "tasks",
    "matching": "tasks",
    "multilabel": "tasks",
    "passes": "table",
    "rating": "tasks",
    "register": "udf",
    "register_all": "udf",
    "spark_session": "session",
    "undo_pass": "table",
}

__all__ = [
    "DEFAULT",
    "CalibrationReport",
    "EvaluationReport",
    "Label",
    "PassReport",
    "SparklabelError",
    "Task",
    "TrainingReport",
    "UndoReport",
    "answering",
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
    "passes",
    "rating",
    "register",
    "register_all",
    "spark_session",
    "undo_pass",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sparklabel' has no attribute {name!r}")
    return getattr(import_module(f"sparklabel.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
