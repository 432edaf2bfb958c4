"""A data set of the quality benchmark: one YAML that says how its rows become inputs and right answers.

In: a YAML of the folder `data_sets`, and the folder with the JSON lines files that it names. Out: a task, and rows of
(inputs, answer). It asks no model. A YAML has:

    source, license     where the rows are from, and what they may be used for
    train, test         JSON lines files, relative to `--data`; without `train` a set is only asked zero-shot
    task                as in `conf/tasks`; labels or types that are left out are those that occur in the files
    answer              the field with the right answer, and how to read it (`Answer`)
    columns             inputs that are made of several fields, one a line
    metric              the figure that publications quote, by its name in `Metrics.figures()`
    published           figures of others, each with its source
"""

import json
import random
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, field_validator

from sparklabel.tasks import Extraction, Task, task_from_dict

FOLDER = Path(__file__).parent / "data_sets"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))

Rows = list[tuple[tuple[str, ...], Any]]
_OPEN = {"classification": "labels", "multilabel": "labels", "entities": "types"}


class Answer(BaseModel):
    """Where a row has its right answer: `field`.

    With `is_true`, the answer of a matching task is whether the field has this value. With `first`, the field is a list
    whose first item is the answer; an empty list means that there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    is_true: str | None = None
    first: bool = False

    def of(self, row: dict[str, Any]) -> Any:
        value = row[self.field]
        if self.is_true is not None:
            return value == self.is_true
        return next(iter(value), None) if self.first else value


class DataSet(BaseModel):
    """One YAML, as the module describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    license: str
    train: str | None = None
    test: str
    task: dict[str, Any]
    answer: Answer
    columns: dict[str, list[str]] = {}
    metric: str
    published: dict[str, str] = {}

    @field_validator("answer", mode="before")
    @classmethod
    def _field_alone(cls, value: Any) -> Any:
        return {"field": value} if isinstance(value, str) else value

    def build_task(self, rows: list[dict[str, Any]]) -> Task:
        """The task, with the answers that occur in `rows` where the YAML leaves its labels or types out."""
        kind = self.task.get("kind", "")
        open_field = _OPEN.get(kind)
        if open_field is None or open_field in self.task:
            return task_from_dict(self.task)
        return task_from_dict({**self.task, open_field: sorted(_occurring(kind, map(self.answer.of, rows)))})

    def build_row(self, task: Task, row: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
        """A row's inputs, in the task's order, and its right answer."""
        answer = self.answer.of(row)
        if isinstance(task, Extraction):
            answer = {field.name: answer.get(field.name) for field in task.fields}
        return tuple(self._text(row, column) for column in task.inputs), answer

    def _text(self, row: dict[str, Any], column: str) -> str:
        return "\n".join(
            line for field in self.columns.get(column, [column]) for line in _lines(row.get(field))
        )


def load_data_set(name: str) -> DataSet:
    """Reads one of `NAMES`."""
    return DataSet.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8")))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """A JSON lines file's rows, shuffled with a fixed seed."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    random.Random(0).shuffle(rows)
    return rows


def _occurring(kind: str, answers: Any) -> set[str]:
    if kind == "classification":
        return set(answers)
    if kind == "multilabel":
        return {label for labels in answers for label in labels}
    return {entity["type"] for entities in answers for entity in entities}


def _lines(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value or "")]
