"""A submission in a YAML file, for the command line: what `submit` takes as keywords.

In: a file. Out: the keywords, or an error that names the file. Numbers such as 1e-4, which YAML reads as texts, are
numbers here.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from sparklabel.arguments import unknown_name
from sparklabel.delta.paths import is_absolute, is_relative_table
from sparklabel.errors import SetupError
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.tasks import task_named_in
from sparklabel.tasks.yaml_files import read_yaml
from sparklabel.training.call import FinetuneCall
from sparklabel.training.runs.search import search_from_dict

_IS_RELATIVE: dict[str, Callable[[str], bool]] = {
    "table": is_relative_table,
    "into": is_relative_table,
    "checkpoints": lambda path: bool(path) and not is_absolute(path),
    "base": lambda base: base.startswith("."),  # another may be a hub id
    "encoder": lambda encoder: encoder.startswith("."),
}
"""Arguments that may be paths, and which of them are relative ones."""
_OWN = ("call", "search", "name", "priority", "max_retries")


def load_submission(file: Path) -> dict[str, Any]:
    """The keywords for `submit`. `task` is a task's fields, or the path of its file; `config` has fields of
    `TrainingConfig`. Relative paths are as seen from the file. Raises SetupError or TaskError."""
    found = read_yaml(file)
    if not isinstance(found, dict) or "call" not in found:
        what = "it has no `call`" if isinstance(found, dict) else "it has no fields"
        raise SetupError(f"{file} is not a submission: {what}.", hint="conf/runs has one: `call: finetune`.")
    known = [*_OWN, *(field.name for field in fields(FinetuneCall))]
    for name in found:
        if name not in known:
            raise unknown_name(str(file), "field", str(name), known)
    found = {
        name: _numbers(value) if name in ("search", "config") else value for name, value in found.items()
    }
    if "task" in found:
        found["task"] = task_named_in(file, found["task"])
    if found.get("search") is not None:
        found["search"] = search_from_dict(found["search"])
    if found.get("config") is not None:
        found["config"] = _config(found["config"], file)
    for name, is_relative in _IS_RELATIVE.items():
        if isinstance(given := found.get(name), str) and is_relative(given):
            found[name] = str((file.parent / Path(given).expanduser()).absolute())
    return found


def _config(given: object, file: Path) -> TrainingConfig:
    if not isinstance(given, Mapping):
        raise SetupError(f"{file}: config={given!r} has no fields of TrainingConfig.")
    settings: dict[str, Any] = {
        str(name): tuple(v) if isinstance(v, list) else v for name, v in given.items()
    }
    return TrainingConfig(**settings)


def _numbers(value: Any) -> Any:
    """YAML 1.1 takes 1e-4 for a text: a number needs a dot there."""
    if isinstance(value, Mapping):
        return {name: _numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    if isinstance(value, str) and value[:1].isdecimal():
        try:
            return float(value)
        except ValueError:
            return value
    return value
