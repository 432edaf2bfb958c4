"""Classification: one of a fixed set of labels. It is scored, so the value is always one of them."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sparklabel.tasks.answer_modes import Scored
from sparklabel.tasks.candidate_labels import CandidateLabels, meaning
from sparklabel.tasks.choices import one_of
from sparklabel.tasks.label_options import (
    LabelOptions,
    as_written,
    label_named,
    label_number,
    listed,
    verbalize_label,
)
from sparklabel.tasks.task import Task


class Classification(Task):
    """Which one of `labels`? The value is a string.

    `prior="content_free"` divides each label's probability by the one that the model gives it for an empty input, and
    normalizes again (contextual calibration, Zhao et al. 2021, arXiv:2102.09690): small models are biased toward one
    label. `candidates`: each prompt lists this many labels, the nearest to the row, instead of all; the others then
    have no probability. `zero_shot`: how a model that was not fine-tuned answers: by its own probabilities ("lm"), or
    by these, mixed with how near the row is to the labels' names ("mixed"). None is "mixed" for the embedded model,
    unless the task has examples or candidates, and "lm" for others.
    """

    kind: Literal["classification"] = "classification"
    labels: LabelOptions
    prior: Literal["content_free"] | None = None
    candidates: Annotated[int, Field(strict=True, ge=2)] | None = None
    zero_shot: Literal["lm", "mixed"] | None = None

    @model_validator(mode="after")
    def _examples_use_the_labels(self) -> "Classification":
        for example in self.examples:
            if label_number(self.label_names, example.answer) is None:
                raise ValueError(f"an example is answered {example.answer!r}, which is not one of the labels")
        return self

    @model_validator(mode="after")
    def _candidates_are_some_of_the_labels(self) -> "Classification":
        if self.candidates and self.candidates >= len(self.labels):
            raise ValueError(
                f"candidates={self.candidates} must be less than the number of labels, {len(self.labels)}: leave it out"
            )
        if self.candidates and self.prior:
            raise ValueError(
                "prior= and candidates= cannot be combined: one prior cannot serve rows with different labels"
            )
        if self.candidates and self.zero_shot == "mixed":
            raise ValueError(
                "zero_shot='mixed' and candidates= cannot be combined: the mixture corrects a prior for all labels"
            )
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def meanings(self) -> list[str]:
        """[L]: the text of each label for an encoder: its name and its description."""
        return [meaning(*option) for option in self._options]

    @property
    def answer_mode(self) -> Scored:
        """The most probable label."""
        return one_of(
            self.label_names,
            tuple(map(verbalize_label, self.label_names)),
            metrics="classification",
            prior_correction=self.prior is not None,
            candidate_labels=CandidateLabels(self.candidates, self._options) if self.candidates else None,
        )

    @property
    def _options(self) -> tuple[tuple[str, str], ...]:
        return tuple((verbalize_label(label.name), label.description) for label in self.labels)

    def question(self) -> str:
        """The instructions, then the labels: on one line, or one per line if any is described."""
        opening = self.instructions.strip() or "Classify the text."
        if self.candidates:
            return f"{opening}\nAnswer with exactly one of the labels that are listed."
        return f"{opening}\nAnswer with exactly one of these labels:{listed(self._options)}"

    def verbalize(self, answer: Any) -> str:
        """`card_arrival` becomes "card arrival"."""
        return verbalize_label(label_named(self.label_names, answer))

    def to_dict(self) -> dict[str, Any]:
        """Labels as a list of names, or as a mapping if one is described."""
        return super().to_dict() | {"labels": as_written(self.labels)}
