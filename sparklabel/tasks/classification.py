"""Classification: one of a fixed set of labels; answered by scoring, so the value is always one of them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from sparklabel.tasks.answer_modes import Scored, one_of
from sparklabel.tasks.task import Task


class LabelOption(BaseModel):
    """A label as the table holds it, and what it means, for the prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""


class Classification(Task):
    """Which one of `labels`? The value is a string.

    `prior="content_free"` divides each label's probability by what the model gives it for an empty input, and
    normalises again (contextual calibration, Zhao et al. 2021, arXiv:2102.09690): small models lean to one label.
    """

    kind: Literal["classification"] = "classification"
    labels: tuple[LabelOption, ...]
    prior: Literal["content_free"] | None = None

    value_type: ClassVar[str] = "STRING"

    @field_validator("labels", mode="before")
    @classmethod
    def _list_or_mapping(cls, labels: object) -> object:
        """A list of names, or a mapping name -> description."""
        if isinstance(labels, Mapping):
            return tuple({**_option(name), "description": text or ""} for name, text in labels.items())
        if isinstance(labels, Iterable) and not isinstance(labels, str):
            return tuple(_option(label) for label in labels)
        return labels

    @field_validator("labels")
    @classmethod
    def _labels_are_distinct(cls, labels: tuple[LabelOption, ...]) -> tuple[LabelOption, ...]:
        if not labels:
            raise ValueError("the list of labels is empty")
        seen: dict[str, str] = {}
        for label in labels:
            key = re.sub(r"[\s_]+", "", label.name).casefold()
            if not key:
                raise ValueError(f"{label.name!r} is a blank label")
            if label.name != label.name.strip() or not label.name.isprintable():
                raise ValueError(f"{label.name!r} has blanks at an end or control characters")
            if key in seen:
                other = seen[key]
                what = (
                    "is given twice"
                    if other == label.name
                    else f"differs from {other!r} only in blanks or case"
                )
                raise ValueError(f"{label.name!r} {what}")
            seen[key] = label.name
        return labels

    @model_validator(mode="after")
    def _examples_use_the_labels(self) -> "Classification":
        for example in self.examples:
            if example.answer not in self.label_names:
                raise ValueError(f"an example is answered {example.answer!r}, which is not one of the labels")
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def answer_mode(self) -> Scored:
        """The most probable label."""
        return one_of(
            self.label_names,
            tuple(map(self.spoken, self.label_names)),
            metrics="classification",
            prior_correction=self.prior is not None,
        )

    def question(self) -> str:
        """The instructions, then the labels: in a line, or one a line where they are described."""
        names = [self.spoken(label.name) for label in self.labels]
        head = (
            f"{self.instructions.strip() or 'Classify the text.'}\nAnswer with exactly one of these labels:"
        )
        if any(label.description for label in self.labels):
            lines = zip(names, self.labels, strict=True)
            return head + "".join(f"\n- {name}: {label.description.strip()}" for name, label in lines)
        return f"{head} {', '.join(names)}."

    def spoken(self, answer: str) -> str:
        """`card_arrival` is spoken "card arrival"."""
        return re.sub(r"[\s_]+", " ", answer).strip()

    def to_dict(self) -> dict[str, Any]:
        """Labels as a list of names, or as a mapping where one is described."""
        described = any(label.description for label in self.labels)
        names = {label.name: label.description for label in self.labels}
        return super().to_dict() | {"labels": names if described else list(names)}


def _option(label: Any) -> Any:
    if isinstance(label, bool | int | float) or label is None:
        raise ValueError(f"the label {label!r} is not text (in YAML, put it in quotes)")
    return {"name": label} if isinstance(label, str) else label
