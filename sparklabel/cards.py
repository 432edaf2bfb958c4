"""The card that a fine-tuned model carries: the prompt and the label ids it was trained with, its base and its task.

A pass with the model renders with the card's template, so that what was trained, gated and served is the same.
"""

import json
from dataclasses import dataclass
from typing import Any

from sparklabel.constraints import TokenPath
from sparklabel.errors import ModelError
from sparklabel.prompts import PromptTemplate
from sparklabel.tasks import Classification, Task


@dataclass(frozen=True, slots=True)
class ModelCard:
    """`task` is the definition as YAML holds it; `base` says which weights the adapter stands on."""

    task: dict[str, Any]
    task_fingerprint: str
    template: PromptTemplate
    labels: tuple[str, ...]
    label_ids: tuple[TokenPath, ...]
    base: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": 1,
            "task": self.task,
            "task_fingerprint": self.task_fingerprint,
            "template": self.template.to_dict(),
            "labels": list(self.labels),
            "label_ids": [list(path) for path in self.label_ids],
            "base": self.base,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "ModelCard":
        return cls(
            task=fields["task"],
            task_fingerprint=fields["task_fingerprint"],
            template=PromptTemplate.from_dict(fields["template"]),
            labels=tuple(fields["labels"]),
            label_ids=tuple(tuple(path) for path in fields["label_ids"]),
            base=fields["base"],
        )

    @classmethod
    def from_json(cls, text: str) -> "ModelCard":
        return cls.from_dict(json.loads(text))

    def check_fits(self, task: Task, model: str) -> None:
        """Raises ModelError when the model was trained to answer something else than `task` asks."""
        labels = task.label_names if isinstance(task, Classification) else ()
        wrong = [
            f"{what}: {list(then)} then, {list(now)} now"
            for what, then, now in (
                ("labels", self.labels, labels),
                ("inputs", self.task.get("inputs", []), task.inputs),
            )
            if list(then) != list(now)
        ]
        if wrong:
            raise ModelError(
                f"{model} was fine-tuned for another task than {task.name!r} is now ({'; '.join(wrong)}).",
                hint="Fine-tune again on the task as it is, or label with the base model.",
            )
