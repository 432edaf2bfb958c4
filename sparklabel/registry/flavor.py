"""The files that make a version an MLflow model: signature, input example, loader and requirements.

In: a folder with `adapter/` and the manifest. Out: the same folder with MLmodel and the files that it names. No model
is loaded and no weights are copied: the base stays a reference in the manifest.
"""

import json
import platform
import re
from collections import deque
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sparklabel.labels.record import label_ddl
from sparklabel.models.manifest import ModelManifest
from sparklabel.registry.serving import ADAPTER, ENCODER_FOLDER, MANIFEST
from sparklabel.tasks import Task, task_from_dict

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

_LOADER = "sparklabel.registry.pyfunc"
_EXAMPLE, _REQUEST = "input_example.json", "serving_input_example.json"
_REQUIREMENTS, _ENVIRONMENT = "requirements.txt", "python_env.yaml"


def write_flavor(folder: Path, run_id: str) -> None:
    """Writes MLmodel, the input example and the requirements. Raises ModelError or TaskError for a bad manifest."""
    from mlflow.models import Model

    manifest = ModelManifest.from_json((folder / MANIFEST).read_text("utf-8"))
    if manifest.task is None:  # what it predicts is not known before it is given a task
        model = Model(run_id=run_id)
        model.add_flavor("sparklabel", sparklabel_version=_version(), manifest=MANIFEST)
        model.save(str(folder / "MLmodel"))
        return
    task = task_from_dict(manifest.task)
    model = Model(
        run_id=run_id, signature=signature(task), saved_input_example_info=_write_example(folder, task)
    )
    # As `mlflow.pyfunc.add_to_model` does, whose import warns of MLflow's own type hints.
    model.add_flavor(
        "python_function", loader_module=_LOADER, python_version=platform.python_version(),
        env={"virtualenv": _write_environment(folder, _extras(folder, manifest))},
    )  # fmt: skip
    model.save(str(folder / "MLmodel"))


def signature(task: Task) -> "ModelSignature":
    """Inputs: a string for each input of the task. Outputs: the label record. Parameters: `min_confidence`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    # Not from an Object, which would sort the record's fields by name.
    record = _fields(deque(_tokens(label_ddl(task.value_type))[1:]))
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, name) for name in task.inputs]),
        outputs=Schema([ColSpec(kind, name, required=False) for name, kind in record]),
        params=ParamSchema([ParamSpec("min_confidence", DataType.double, 0.0)]),
    )


def _write_environment(folder: Path, extras: Sequence[str]) -> str:
    """Writes the Python version and the requirements; returns the name of the file that has them.

    They are not left to MLflow, which would load the model in another process to see what it imports.
    """
    (folder / _REQUIREMENTS).write_text(f"{_requirement(extras)}\n", "utf-8")
    environment = {
        "python": platform.python_version(), "build_dependencies": ["pip"], "dependencies": [f"-r {_REQUIREMENTS}"],
    }  # fmt: skip
    (folder / _ENVIRONMENT).write_text(yaml.safe_dump(environment, sort_keys=False), "utf-8")
    return _ENVIRONMENT


def _extras(folder: Path, manifest: ModelManifest) -> list[str]:
    """What serving the version takes: peft for an adapter, and the shipped encoder if it reads that one."""
    encoder = (manifest.classifier and manifest.classifier.encoder) or {}
    reads_shipped = encoder.get("source") == "shipped" and not (folder / ENCODER_FOLDER).is_dir()
    needed = {"similar": reads_shipped, "train": (folder / ADAPTER).is_dir()}
    return [extra for extra, is_needed in needed.items() if is_needed]


def _requirement(extras: Sequence[str]) -> str:
    """sparklabel in this version; in any version if it runs from a source tree that is not installed."""
    named, own = f"sparklabel[{','.join(extras)}]" if extras else "sparklabel", _version()
    return f"{named}=={own}" if own else named


def _version() -> str:
    """Of sparklabel; empty if it is not installed."""
    try:
        return version("sparklabel")
    except PackageNotFoundError:
        return ""


_TOKEN = re.compile(r"`((?:[^`]|``)+)`|(\w+|[<>])")


def _tokens(ddl: str) -> list[str]:
    """Names, types and angle brackets of a SQL type."""
    return [quoted.replace("``", "`") or word for quoted, word in _TOKEN.findall(ddl)]


def _fields(tokens: deque[str]) -> list[tuple[str, Any]]:
    """The fields of a struct, up to its closing bracket."""
    fields = []
    tokens.popleft()  # "<"
    while tokens[0] != ">":
        fields.append((tokens.popleft(), _type(tokens)))
    tokens.popleft()
    return fields


def _type(tokens: deque[str]) -> Any:
    """The next type, in MLflow's terms; a date is a text (YYYY-MM-DD), as it is in JSON."""
    from mlflow.types.schema import Array, DataType, Object, Property

    simple = {
        "STRING": DataType.string, "DATE": DataType.string, "DOUBLE": DataType.double, "INT": DataType.integer,
        "BIGINT": DataType.long, "BOOLEAN": DataType.boolean, "TIMESTAMP_LTZ": DataType.datetime,
    }  # fmt: skip
    name = tokens.popleft()
    if name == "STRUCT":
        return Object([Property(field, kind, required=False) for field, kind in _fields(tokens)])
    if name == "ARRAY":
        tokens.popleft()  # "<"
        items = Array(_type(tokens))
        tokens.popleft()
        return items
    return simple[name]


def _write_example(folder: Path, task: Task) -> dict[str, Any]:
    """Writes an input example and the request that has it; returns what MLmodel says of them.

    The row is the first of the task's own examples, or else a placeholder. It is never a row of the table: people who
    may read the registry need not be allowed to read the table.
    """
    texts = task.examples[0].inputs if task.examples else [f"The {name} of a row" for name in task.inputs]
    row = {"columns": list(task.inputs), "data": [list(texts)]}  # as in DataFrame.to_dict("split")
    for name, content in ((_EXAMPLE, row), (_REQUEST, {"dataframe_split": row})):
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    return {
        "artifact_path": _EXAMPLE, "serving_input_path": _REQUEST, "type": "dataframe", "pandas_orient": "split",
    }  # fmt: skip
