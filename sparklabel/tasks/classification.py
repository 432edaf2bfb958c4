"""Classification: one of a fixed set of labels; answered by scoring, so the value is always one of them."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sparklabel.tasks.answer_modes import Scored
from sparklabel.tasks.candidate_labels import CandidateLabels
from sparklabel.tasks.choices import one_of
from sparklabel.tasks.label_options import LabelOptions, as_written, listed, verbalize_label
from sparklabel.tasks.task import Task


class Classification(Task):
    """Which one of `labels`? The value is a string.

    `prior="content_free"` divides each label's probability by what the model gives it for an empty input, and
    normalises again (contextual calibration, Zhao et al. 2021, arXiv:2102.09690): small models lean to one label.
    `candidates`: so many labels, those nearest to the row, are offered in its prompt, instead of all in every prompt;
    the others have no probability then.
    """

    kind: Literal["classification"] = "classification"
    labels: LabelOptions
    prior: Literal["content_free"] | None = None
    candidates: Annotated[int, Field(strict=True, ge=2)] | None = None

    @model_validator(mode="after")
    def _examples_use_the_labels(self) -> "Classification":
        for example in self.examples:
            if example.answer not in self.label_names:
                raise ValueError(f"an example is answered {example.answer!r}, which is not one of the labels")
        return self

    @model_validator(mode="after")
    def _candidates_are_some_of_the_labels(self) -> "Classification":
        if self.candidates and self.candidates >= len(self.labels):
            raise ValueError(
                f"candidates={self.candidates} of {len(self.labels)} labels is all of them: leave it out"
            )
        if self.candidates and self.prior:
            raise ValueError(
                "a prior is the same for all rows, and with candidates each has labels of its own"
            )
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def answer_mode(self) -> Scored:
        """The most probable label."""
        return one_of(
            self.label_names,
            tuple(map(self.verbalize, self.label_names)),
            metrics="classification",
            prior_correction=self.prior is not None,
            offering=CandidateLabels(self.candidates, self._options) if self.candidates else None,
        )

    @property
    def _options(self) -> tuple[tuple[str, str], ...]:
        return tuple((self.verbalize(label.name), label.description) for label in self.labels)

    def question(self) -> str:
        """The instructions, then the labels: in a line, or one a line where they are described."""
        opening = self.instructions.strip() or "Classify the text."
        if self.candidates:
            return f"{opening}\nAnswer with exactly one of the labels that are listed."
        return f"{opening}\nAnswer with exactly one of these labels:{listed(self._options)}"

    def verbalize(self, answer: Any) -> str:
        """`card_arrival` is spoken "card arrival"."""
        return verbalize_label(answer)

    def to_dict(self) -> dict[str, Any]:
        """Labels as a list of names, or as a mapping where one is described."""
        return super().to_dict() | {"labels": as_written(self.labels)}
