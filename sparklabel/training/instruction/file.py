"""A mixture in a YAML file.

In: a file. Out: a `Mixture`, or an error that names the file, and the source that it is about.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from sparklabel.arguments import check_arguments
from sparklabel.delta.paths import is_relative_table
from sparklabel.errors import SetupError, TaskError
from sparklabel.tasks import task_named_in
from sparklabel.tasks.yaml_files import read_yaml
from sparklabel.training.instruction.mixture import Mixture, Source, mixture, source


def load_mixture(path: str | Path) -> Mixture:
    """A mixture from a YAML file: `sources`, a list of what `source` takes, and what `mixture` takes.

    `task` is a task's fields, or the path of its file. Relative paths are as seen from the file.

    Raises:
        TaskError: A task is not one.
        SetupError: The file cannot be read, or a field is unknown or wrong.

    Example:
        >>> from sparklabel import load_mixture
        >>> [one.task.name for one in load_mixture("conf/mixtures/support.yaml").sources]
        ['intent', 'same_product', 'summary', 'verdict']
    """
    if not isinstance(path, str | Path):
        raise SetupError(f"{path!r} is not the path of a file.")
    file = Path(path)
    found = _read(file)
    listed = found.pop("sources", None)
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise SetupError(
            f"{file} is not a mixture: it has no list of `sources`.", hint="conf/mixtures has one."
        )
    check_arguments(f"{file}", [field.name for field in fields(Mixture) if field.name != "sources"], found)
    return mixture([_source(one, number, file) for number, one in enumerate(listed, 1)], **found)


def _read(file: Path) -> dict[str, Any]:
    found = read_yaml(file)
    if not isinstance(found, dict):
        raise SetupError(f"{file} is not a mixture: it has no fields.", hint="conf/mixtures has one.")
    return {str(name): value for name, value in found.items()}


def _source(given: Mapping[str, Any], number: int, file: Path) -> Source:
    """The source of a file that has this number, from 1."""
    which = f"Source {number} of {file}"
    check_arguments(which, [field.name for field in fields(Source)], map(str, given))
    for name in ("table", "task"):
        if name not in given:
            raise SetupError(f"{which} has no {name}: {dict(given)!r}.")
    options = dict(given)
    for name in ("table", "into"):
        if isinstance(one := options.get(name), str) and is_relative_table(one):
            options[name] = str((file.parent / Path(one).expanduser()).absolute())
    try:
        return source(options.pop("table"), task_named_in(file, options.pop("task")), **options)
    except (SetupError, TaskError) as error:
        raise type(error)(f"{which}: {error.message}", hint=error.hint) from None
