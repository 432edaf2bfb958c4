"""The tasks of one call: who asks what, of which model, into which columns. Checked; nothing is read.

In: what a user gave for one task or several. Out: a list, a model for each, or an error that names the wrong one.
"""

from collections.abc import Mapping, Sequence

from sparklabel.errors import ColumnError, TaskError
from sparklabel.tasks import Task, check_task


def tasks_of(task: Task | Sequence[Task], column: str | None) -> list[Task]:
    if not isinstance(task, list | tuple):
        task = [task]  # type: ignore[list-item]  # anything else is refused below
    if not task:
        raise TaskError("task=[] is empty.", hint="Give at least one task.")
    for one in task:
        check_task(one)
    names = [one.name.lower() for one in task]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise TaskError(f"Two of the tasks have the name {twice!r}.")
    if column is not None and len(task) > 1:
        raise ColumnError(
            "column= names the column of one task, and several were given.",
            hint="Label that task in a call of its own.",
        )
    return list(task)


def models_of(tasks: Sequence[Task], model: str | Mapping[str, str]) -> dict[str, str]:
    if not isinstance(model, Mapping):
        return {one.name: model for one in tasks}
    names = [one.name for one in tasks]
    if sorted(model) != sorted(names):
        raise TaskError(
            f"model= names models for {', '.join(sorted(model)) or 'no task'}, and the tasks are {', '.join(names)}.",
            hint="Name one for each task, or give one model for all.",
        )
    if wrong := next((name for name, one in model.items() if not isinstance(one, str)), None):
        raise TaskError(f"model[{wrong!r}]={model[wrong]!r} is not a model reference.")
    return dict(model)


def check_columns_apart(tasks: Sequence[Task], columns: Sequence[tuple[str, str]]) -> None:
    """Raises ColumnError if a task writes or reads another task's columns: it would read the row as it was before."""
    label_columns = [name.lower() for pair in columns for name in pair]
    for task in tasks if len(tasks) > 1 else ():
        if read := next((name for name in task.inputs if name.lower() in label_columns), None):
            raise ColumnError(
                f"The task {task.name!r} reads {read!r}, which another of the tasks writes.",
                hint="Label one after the other, in two calls: the second reads what the first wrote.",
            )
    if twice := next((name for name in label_columns if label_columns.count(name) > 1), None):
        raise ColumnError(
            f"Two of the tasks write the column {twice!r}.",
            hint="Label one of them in its own call, with column=.",
        )
