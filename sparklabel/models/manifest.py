"""The card that a fine-tuned model carries: the prompt and the label ids it was trained with, its base and its task.

A pass with the model renders with the card's template, so that what was trained, gated and served is the same.
"""

import json
from dataclasses import dataclass
from typing import Any

from sparklabel.errors import ModelError
from sparklabel.label_trie import TokenPath
from sparklabel.prompts import PromptTemplate
from sparklabel.tasks import Task

_FORMAT = 1
"""How cards are written. It grows when a card means something that an older sparklabel would misread."""


@dataclass(frozen=True, slots=True)
class AdapterManifest:
    """`task` is the definition as YAML holds it; `labels` are its choices, with their tokens in `label_ids`, or what
    else its answers are made of; `base` says which weights the adapter stands on."""

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
    def from_dict(cls, fields: dict[str, Any]) -> "AdapterManifest":
        """The card that `to_dict` gave. Raises ModelError when it is of another format, or incomplete."""
        try:
            if fields["format"] != _FORMAT:
                raise ModelError(
                    f"The fine-tuned model's card has the format {fields['format']!r}, not {_FORMAT}: "
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
            raise ModelError(f"The fine-tuned model's card has no {error}.") from None
        except TypeError as error:
            raise ModelError(f"The fine-tuned model's card is malformed: {error}") from None

    @classmethod
    def from_json(cls, text: str) -> "AdapterManifest":
        """As `from_dict`, of the file's text."""
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise ModelError(f"The fine-tuned model's card is not JSON: {error}") from None
        return cls.from_dict(fields)

    def check_fits(self, task: Task, model: str) -> None:
        """Raises ModelError when the model was trained to answer something else than `task` asks."""
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
