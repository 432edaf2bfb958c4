"""The manifest of a registered version: its base and its task, and how it is asked.

In: JSON, or what a training knows. Out: a `ModelManifest`. Whatever asks the model renders with the manifest's
template, so that training, gate and serving use the same prompt. No files are read or written here.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from sparklabel.errors import ModelError
from sparklabel.label_trie import TokenPath
from sparklabel.prompts import PromptTemplate
from sparklabel.tasks import Task

_FORMAT, _WITH_CLASSIFIER, _FOR_ANY_TASK = 1, 2, 3
"""The format's version; raised when an older sparklabel would misread a manifest."""
HIDDEN, SCORES = "hidden", "scores"
MODEL_SOURCES = frozenset({HIDDEN, SCORES})
"""What a classifier may read of a language model: hidden states, and the probabilities that it gives the choices."""


@dataclass(frozen=True, slots=True)
class ClassifierManifest:
    """A version's classifier. `weights`: what it reads of each row, with the weights of their pool. `encoder`: the
    record of the sentence encoder, as of a base; None if it reads no sentence vectors. `is_tuned`: the encoder's
    weights were trained, too, and are the version's own."""

    weights: dict[str, float]
    encoder: dict[str, Any] | None
    is_tuned: bool = False

    @property
    def needs_language_model(self) -> bool:
        return not MODEL_SOURCES.isdisjoint(self.weights)


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """What a version was trained to answer, and on which base.

    A version from an instruction tuning answers any task, as a base does: it has no `task`, and is asked with the
    task's whole instructions. Its files are an adapter over the base, or, if it `is_whole`, a model of its own.

    `task` is the definition as in YAML; `labels` are its choices, with their tokens in `label_ids`, or, of a generated
    task, the signature of its fields; `base` names the weights under the version (see `base_record`): those of the
    language model, or of the sentence encoder where a `classifier` reads nothing else. It has no `template` then.
    """

    task: dict[str, Any] | None
    task_fingerprint: str
    template: PromptTemplate | None
    labels: tuple[Any, ...]
    label_ids: tuple[TokenPath, ...]
    base: dict[str, Any]
    classifier: ClassifierManifest | None = None
    is_whole: bool = False

    @classmethod
    def for_any_task(cls, base: dict[str, Any], *, is_whole: bool) -> "ModelManifest":
        """Of an instruction tuning."""
        return cls(None, "", None, (), (), base, is_whole=is_whole)

    @property
    def reads_states(self) -> bool:
        """Whether answers take the hidden states of the base."""
        return self.classifier is not None and HIDDEN in self.classifier.weights

    @property
    def needs_language_model(self) -> bool:
        """Whether answers take a language model. Otherwise a sentence encoder suffices."""
        return self.classifier is None or self.classifier.needs_language_model

    def to_dict(self) -> dict[str, Any]:
        fields = {
            "format": _FOR_ANY_TASK
            if self.task is None
            else _WITH_CLASSIFIER
            if self.classifier
            else _FORMAT,
            "task": self.task,
            "task_fingerprint": self.task_fingerprint,
            "template": self.template and self.template.to_dict(),
            "labels": list(self.labels),
            "label_ids": [list(path) for path in self.label_ids],
            "base": self.base,
        }
        if self.task is None:
            fields["is_whole"] = self.is_whole
        return fields | ({"classifier": asdict(self.classifier)} if self.classifier else {})

    def to_json(self) -> str:
        """As the file has it."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "ModelManifest":
        """The inverse of `to_dict`. Raises ModelError for another format, or a missing field."""
        try:
            if fields["format"] not in (_FORMAT, _WITH_CLASSIFIER, _FOR_ANY_TASK):
                raise ModelError(
                    f"The fine-tuned model's manifest has the format {fields['format']!r}, not {_FORMAT}, "
                    f"{_WITH_CLASSIFIER} or {_FOR_ANY_TASK}: it was made by a newer sparklabel.",
                    hint="Update sparklabel.",
                )
            return cls(
                task=fields["task"],
                task_fingerprint=fields["task_fingerprint"],
                template=fields["template"] and PromptTemplate.from_dict(fields["template"]),
                labels=tuple(fields["labels"]),
                label_ids=tuple(tuple(path) for path in fields["label_ids"]),
                base=fields["base"],
                classifier=ClassifierManifest(**fields["classifier"]) if "classifier" in fields else None,
                is_whole=bool(fields.get("is_whole")),
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
                ("inputs", (self.task or {}).get("inputs", []), task.inputs),
            )
            if list(then) != list(now)
        ]
        if wrong:
            raise ModelError(
                f"{model} was fine-tuned for another task than {task.name!r} is now ({'; '.join(wrong)}).",
                hint="Fine-tune again on the task as it is, or label with the base model.",
            )
