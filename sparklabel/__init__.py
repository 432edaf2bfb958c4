"""sparklabel: label Delta tables in place with language models inside Spark, and fine-tune on people's answers.

The names below are the public API. They are loaded when first used, so that `import sparklabel` costs nothing on a
worker that needs only a part.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparklabel.errors import SparklabelError
    from sparklabel.evaluation import EvaluationReport, evaluate
    from sparklabel.labels import Label
    from sparklabel.references import DEFAULT
    from sparklabel.session import spark_session
    from sparklabel.table import PassReport, label_table
    from sparklabel.tasks import Task, classification, load_task
    from sparklabel.training import TrainingReport, finetune
    from sparklabel.udf import label_udf, register

__version__ = "0.1.0"

_HOMES = {
    "DEFAULT": "references",
    "EvaluationReport": "evaluation",
    "Label": "labels",
    "PassReport": "table",
    "SparklabelError": "errors",
    "Task": "tasks",
    "TrainingReport": "training",
    "classification": "tasks",
    "evaluate": "evaluation",
    "finetune": "training",
    "label_table": "table",
    "label_udf": "udf",
    "load_task": "tasks",
    "register": "udf",
    "spark_session": "session",
}

__all__ = [
    "DEFAULT",
    "EvaluationReport",
    "Label",
    "PassReport",
    "SparklabelError",
    "Task",
    "TrainingReport",
    "classification",
    "evaluate",
    "finetune",
    "label_table",
    "label_udf",
    "load_task",
    "register",
    "spark_session",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sparklabel' has no attribute {name!r}")
    return getattr(import_module(f"sparklabel.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
