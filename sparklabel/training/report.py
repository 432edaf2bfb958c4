"""What a fine-tuning did."""

from collections.abc import Mapping
from dataclasses import dataclass

from sparklabel.confidence.calibrators import Calibrator
from sparklabel.training.gate import GateResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """The outcome of `finetune`; `str()` of it is a summary to print.

    `model` is the new version's reference, promoted or not; `champion` what `models:/NAME@champion` serves now, or
    None. `answers` is how many it learned from, `counts` what they say, `cut` how many of
    them were too long for the recipe. `probe_accuracy` is the linear probe's, on the answers that
    judged the gate; `calibrator` was fitted on them, None where they are too few.
    """

    table: str
    version: int
    task: str
    base: str
    registered_name: str
    model: str
    champion: str | None
    run_id: str
    answers: int
    counts: Mapping[str, int]
    agreements: int
    held_out: int
    left_out: Mapping[str, int]
    cut: int
    loss: float
    steps: int
    training_seconds: float
    tokens_per_second: float
    seconds: float
    gate: GateResult
    baseline: str
    probe_accuracy: float | None
    calibrator: Calibrator | None

    @property
    def promoted(self) -> bool:
        return self.gate.verdict == "promoted"

    def __str__(self) -> str:
        gate = self.gate
        judged = (
            f"{gate.accuracy_new:.1%}, {self.baseline} {gate.accuracy_old:.1%}"
            if gate.n
            else "nothing to judge on"
        )
        probe = "" if self.probe_accuracy is None else f", linear probe {self.probe_accuracy:.1%}"
        lines = [
            f"{self.table} version {self.version}: task {self.task}, {self.answers:,} answers to learn from "
            f"({self.agreements:,} agree with the model), {self.held_out:,} held out",
            f"they say: {_counts(self.counts)}",
            *([f"left out: {_counts(self.left_out)}"] if self.left_out else []),
            *([f"cut to the longest prompt of the recipe: {self.cut:,}"] if self.cut else []),
            f"{self.steps} steps in {self.training_seconds:.1f} s ({self.tokens_per_second:,.0f} tokens/s), "
            f"last loss {self.loss:.3f}",
            f"held-out accuracy: new model {judged}{probe}",
            f"gate: {gate.verdict}. {gate.reason}",
            *([f"confidence calibrated on them: {self.calibrator}"] if self.calibrator else []),
            f"logged as {self.model} (MLflow run {self.run_id})",
            f"models:/{self.registered_name}@champion is {self.champion}"
            if self.champion
            else "there is no champion yet",
        ]
        return "\n  ".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:12]]
    return ", ".join(shown) + (f" and {len(counts) - 12} more" if len(counts) > 12 else "")
