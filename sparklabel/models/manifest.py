"""The manifest beside a fine-tuned adapter: the prompt and label ids it was trained with, its base and its task.

In: JSON, or what a training knows. Out: an `ModelManifest`. Whatever asks the model renders with the manifest's
template, so that training, gate and serving use the same prompt. No files are read or written here.
"""

import json
from dataclasses import dataclass
from typing import Any

from sparklabel.errors import ModelError
from sparklabel.label_trie import TokenPath
from sparklabel.prompts import PromptTemplate
from sparklabel.tasks import Task

_FORMAT = 1
"""The format's version; raised when an older sparklabel would misread a manifest."""


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """What an adapter was trained to answer, and on which base.

    `task` is the definition as in YAML; `labels` are its choices, with their tokens in `label_ids`, or, of a generated
    task, the signature of its fields; `base` names the weights under the adapter (see `base_record`).
    """

    task: dict[str, Any]
    task_fingerprint: str
    template: PromptTemplate
    labels: tuple[Any, ...]
    label_ids: tuple[TokenPath, ...]
    base: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "task": self.task,
            "task_fingerprint": self.task_fingerprint,
            "template": self.template.to_dict(),
            "labels": list(self.labels),
            "label_ids": [list(path) for path in self.label_ids],
            "base": self.base,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "ModelManifest":
        """The inverse of `to_dict`. Raises ModelError for another format, or a missing field."""
        try:
            if fields["format"] != _FORMAT:
                raise ModelError(
                    f"The fine-tuned model's manifest has the format {fields['format']!r}, not {_FORMAT}: "
                    "it was made by a newer sparklabel.",
                    hint="Update sparklabel.",
                )
            return cls(
                task=fields["task"],
                task_fingerprint=fields["task_fingerprint"],
                template=PromptTemplate.from_dict(fields["template"]),
                labels=tuple(fields["labels"]),
                label_ids=tuple(tuple(path) for path in fields["label_ids"]),
                base=fields["base"],
            )
        except KeyError as error:
            raise ModelError(f"The fine-tuned model's manifest has no {error}.") from None
        except TypeError as error:
            raise ModelError(f"The fine-tuned model's manifest is malformed: {error}") from None

    @classmethod
    def from_json(cls, text: str) -> "ModelManifest":
        """As `from_dict`, from the text of the file."""
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise ModelError(f"The fine-tuned model's manifest is not JSON: {error}") from None
        return cls.from_dict(fields)

    def check_fits(self, task: Task, model: str) -> None:
        """Raises ModelError if the model was trained on other labels or inputs than `task` has."""
        wrong = [
            f"{what}: {list(then)} then, {list(now)} now"
            for what, then, now in (
                ("labels", self.labels, task.answer_mode.signature),
                ("inputs", self.task.get("inputs", []), task.inputs),
            )
            if list(then) != list(now)
        ]
        if wrong:
            raise ModelError(
                f"{model} was fine-tuned for another task than {task.name!r} is now ({'; '.join(wrong)}).",
                hint="Fine-tune again on the task as it is, or label with the base model.",
            )
