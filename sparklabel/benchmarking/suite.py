"""A suite: a folder of YAML files, one a data set, which says how its rows become inputs and right answers.

In: the folder, and where the rows are. Out: `DataSet` records, and the rows of each as `SetRows`. No model is asked.
"""

import csv
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from sparklabel.errors import SetupError
from sparklabel.splits import input_key, is_held_out
from sparklabel.tasks import Extraction, Task, task_from_dict
from sparklabel.tasks.json_values import plain
from sparklabel.tasks.yaml_files import read_yaml, yaml_files

Row = tuple[tuple[str, ...], Any]
"""A row's inputs, in the task's order, and its right answer."""
_OPEN = {"classification": "labels", "multilabel": "labels", "entities": "types"}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(_Record):
    """Where a row has its right answer: `field`.

    With `is_true`, the answer of a matching task is whether the field has this value. With `first`, the field is a list
    whose first item is the answer; an empty list means that there is none.
    """

    field: str
    is_true: str | None = None
    first: bool = False

    def of(self, row: dict[str, Any]) -> Any:
        value = plain(row[self.field])
        if self.is_true is not None:
            return value == self.is_true
        return next(iter(value), None) if self.first else value


class Published(_Record):
    """A figure of others, in percent: of the set's `metric` unless it names another, and where it is from."""

    value: float
    source: str
    metric: str | None = None


class DataSet(_Record):
    """One YAML of a suite.

    Attributes:
        task: As in `conf/tasks`; labels or types that are left out are those that occur in the rows.
        answer: The field with the right answer, and how to read it.
        train, test: Files, relative to the data's folder: JSON Lines, CSV or Parquet. Without `train` a set is only
            asked zero-shot.
        table: Instead of files a table: the inputs that the gate would hold out are its test part. The labels must be
            listed.
        columns: Inputs that are made of several fields, one a line.
        metric: What the set is judged by, by its name in `Metrics.figures()`.
        published: Figures of others, by their model's name.
        source, license: Where the rows are from, and what they may be used for.
    """

    task: dict[str, Any]
    answer: Answer
    train: str | None = None
    test: str | None = None
    table: str | None = None
    columns: dict[str, list[str]] = {}
    metric: str = "accuracy"
    published: dict[str, Published] = {}
    source: str = ""
    license: str = ""

    @field_validator("answer", mode="before")
    @classmethod
    def _field_alone(cls, value: Any) -> Any:
        return {"field": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_rows(self) -> "DataSet":
        if (self.table is None) == (self.test is None) or (self.table and self.train):
            raise ValueError("give either test (and train), files with rows, or table")
        return self

    def build_task(self, rows: Iterable[dict[str, Any]]) -> Task:
        """The task, with the answers that occur in `rows` where the YAML leaves its labels or types out. Raises
        TaskError."""
        kind = str(self.task.get("kind", ""))
        open_field = _OPEN.get(kind)
        if open_field is None or open_field in self.task:
            return task_from_dict(self.task)
        return task_from_dict({**self.task, open_field: sorted(_occurring(kind, map(self.answer.of, rows)))})

    def build_row(self, task: Task, row: dict[str, Any]) -> Row:
        """A row's inputs, in the task's order, and its right answer."""
        answer = self.answer.of(row)
        if isinstance(task, Extraction):
            answer = {field.name: answer.get(field.name) for field in task.fields}
        return tuple(self._text(row, column) for column in task.inputs), answer

    def _text(self, row: dict[str, Any], column: str) -> str:
        return "\n".join(
            line for field in self.columns.get(column, [column]) for line in _lines(plain(row.get(field)))
        )


@dataclass(frozen=True, slots=True)
class SetRows:
    """A set's task, the rows that may teach and those that judge, in an order that a fixed seed drew. `shared` counts
    the judging ones whose inputs are among the others, but for case, blanks and Unicode form."""

    task: Task
    train: Sequence[Row]
    test: Sequence[Row]
    shared: int

    @classmethod
    def of(cls, data: DataSet, trained: list[dict[str, Any]], tested: list[dict[str, Any]]) -> "SetRows":
        """Raises TaskError, and KeyError for a field that a row lacks."""
        task = data.build_task([*trained, *tested])
        train = [data.build_row(task, row) for row in _shuffled(trained)]
        test = [data.build_row(task, row) for row in _shuffled(tested)]
        known = {input_key(inputs) for inputs, _ in train}
        return cls(task, train, test, sum(input_key(inputs) in known for inputs, _ in test))


def load_suite(folder: Path) -> dict[str, DataSet]:
    """The data sets of a folder by the names of their files, in the order of these. Raises SetupError."""
    found: dict[str, DataSet] = {}
    for path in yaml_files(folder, "data sets", SetupError):
        if path.stem in found:
            raise SetupError(f"{folder} has two data sets of the name {path.stem!r}.")
        found[path.stem] = _load(path)
    return found


def read_set(name: str, data: DataSet, folder: Path) -> SetRows:
    """A set's rows from its files. Raises SetupError for what cannot be read, and TaskError."""
    assert data.test, "a set whose rows are in a table"
    return build_rows(name, data, _read(folder / data.train) if data.train else [], _read(folder / data.test))


def fields_read(data: DataSet, task: Task) -> list[str]:
    """The fields that a row's inputs are made of."""
    return [field for column in task.inputs for field in data.columns.get(column, [column])]


def split_table(name: str, data: DataSet, rows: list[dict[str, Any]]) -> SetRows:
    """A set's rows from a table's, which all have an answer: those that the gate would hold out judge. Raises
    SetupError and TaskError."""
    task = data.build_task(rows)
    judging = [is_held_out(data.build_row(task, row)[0]) for row in rows]
    trained = [row for row, judges in zip(rows, judging, strict=True) if not judges]
    return build_rows(name, data, trained, [row for row, judges in zip(rows, judging, strict=True) if judges])


def build_rows(
    name: str, data: DataSet, trained: list[dict[str, Any]], tested: list[dict[str, Any]]
) -> SetRows:
    """As `SetRows.of`, with an error that names the set. Raises SetupError and TaskError."""
    try:
        found = SetRows.of(data, trained, tested)
    except KeyError as error:
        raise SetupError(f"The data set {name!r}: its rows have no field {error.args[0]!r}.") from None
    except (TypeError, AttributeError):
        raise SetupError(
            f"The data set {name!r}: the field {data.answer.field!r} does not hold answers to such a task."
        ) from None
    if not found.test:
        raise SetupError(f"The data set {name!r} has no test rows.")
    if missing := [
        field for field in fields_read(data, found.task) if not any(field in row for row in tested)
    ]:
        raise SetupError(f"The data set {name!r}: its rows have no field {missing[0]!r}.")
    accepts = found.task.answer_mode.accepts
    if wrong := [answer for _, answer in (*found.train, *found.test) if not accepts(answer)]:
        raise SetupError(
            f"The data set {name!r} has {len(wrong):,} rows with an answer that its task does not accept, such as "
            f"{wrong[0]!r}.",
            hint="Remove them, or mend the labels of the task.",
        )
    return found


def _load(path: Path) -> DataSet:
    found = read_yaml(path)
    try:
        return DataSet.model_validate(found)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        )
        raise SetupError(
            f"{path} is not a data set: {problems}", hint="conf/benchmark/banking77.yaml is one."
        ) from None


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8-sig").split("\n") if line.strip()]


def _read_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


_READERS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    ".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet,
}  # fmt: skip


def _read(path: Path) -> list[dict[str, Any]]:
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise SetupError(
            f"{path} has an unsupported format.", hint=f"Convert it to one of: {', '.join(_READERS)}."
        )
    try:
        return reader(path)
    except (OSError, ValueError, csv.Error) as error:
        missing = isinstance(error, FileNotFoundError)
        raise SetupError(
            f"The rows in {path} cannot be read: {'there is no such file' if missing else error}.",
            hint="Name the folder that has them: data= or --data." if missing else "",
        ) from None


def _shuffled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    drawn = list(rows)
    random.Random(0).shuffle(drawn)
    return drawn


def _occurring(kind: str, answers: Iterable[Any]) -> set[str]:
    if kind == "classification":
        return set(answers)
    if kind == "multilabel":
        return {label for labels in answers for label in labels}
    return {entity["type"] for entities in answers for entity in entities}


def _lines(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else ["" if value is None else str(value)]
