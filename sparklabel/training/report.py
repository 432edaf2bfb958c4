"""What a fine-tuning did, as a record and as a summary to print."""

from collections.abc import Mapping
from dataclasses import dataclass

from sparklabel.confidence.calibrators import Calibrator
from sparklabel.redaction import printable_lines
from sparklabel.splits import HELD_OUT_SHARE, seems_chosen
from sparklabel.training.gate import GateResult

_MAX_COUNTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """The result of `finetune`; `str()` of it is a summary to print.

    Attributes:
        table: The table, as it was named.
        version: The table's version that was read.
        task: The task's name.
        base: The identity of the language model, or of the sentence encoder, that it was trained from.
        registered_name: The model's name in MLflow's registry.
        model: The new version's reference, promoted or not.
        champion: What `models:/NAME@champion` serves now; None if there is no champion yet.
        run_id: The MLflow run.
        answers: Human answers that it was trained on.
        counts: The same by what they say, most frequent first.
        agreements: How many of them say what the model had said.
        held_out: Human answers that judge, and never train.
        left_out: Human answers that were not used, by reason.
        truncated: Training answers whose prompt was longer than `TrainingConfig.max_tokens`.
        loss: In nats for each answer: the mean of the last epoch, or of a classifier that in cross-validation.
        steps: Optimizer steps; 0 for a classifier.
        training_seconds: How long the training took.
        tokens_per_second: Training tokens by `training_seconds`.
        seconds: How long all of `finetune` took.
        gate: The verdict, and the figures behind it.
        baseline: What the gate compared with: "the champion", "the base" or "the most frequent answer".
        probe_accuracy: The held-out accuracy of the best linear probe; None for written answers and classifiers.
        probe: What that one reads: "hidden states" of the frozen base, or "sentence vectors".
        calibrator: The new version's, fitted to the held-out answers; None if they are too few.
        examples: Which examples the base would be shown, if the task takes them from a table.
        distinct_inputs: The distinct inputs of the answers that train or judge: chance holds out a fifth of them.
        processes: How many processes trained at the end.
        attempts: How often they were started: more than once where one was lost.
        method: How it was trained: "lora", "classifier" or "lora and classifier".
        classifier: What the classifier reads and how well it does, in words; empty without one.
        selection: Why it was trained by this method, in words; empty where the method was asked for.
        people: How many people are named as reviewers of the answers; 0 if nobody is.
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
    truncated: int
    loss: float
    steps: int
    training_seconds: float
    tokens_per_second: float
    seconds: float
    gate: GateResult
    baseline: str
    probe_accuracy: float | None
    calibrator: Calibrator | None
    examples: str = ""
    distinct_inputs: int = 0
    processes: int = 1
    attempts: int = 1
    probe: str = ""
    method: str = "lora"
    classifier: str = ""
    selection: str = ""
    people: int = 0

    @property
    def promoted(self) -> bool:
        """Whether the new version is now the champion."""
        return self.gate.verdict == "promoted"

    def __str__(self) -> str:
        gate = self.gate
        judged = (
            f"{gate.accuracy_new:.1%}, {self.baseline} {gate.accuracy_old:.1%}"
            if gate.n
            else "nothing to judge on"
        )
        probe = (
            "" if self.probe_accuracy is None else f", linear probe of {self.probe} {self.probe_accuracy:.1%}"
        )
        lines = [
            f"{self.table} version {self.version}: task {self.task}, {self.answers:,} answers to learn from "
            f"({self.agreements:,} agree with the model), {self.held_out:,} held out"
            + (
                f", of {self.people:,} named people"
                if self.people > 1
                else ", of one named person"
                if self.people
                else ""
            ),
            f"they say: {_listed(self.counts)}",
            *([f"left out: {_listed(self.left_out)}"] if self.left_out else []),
            *([f"prompts truncated to max_tokens: {self.truncated:,}"] if self.truncated else []),
            *([f"method: {self.selection}"] if self.selection else []),
            *self._what_was_trained(),
            f"held-out accuracy: new model {judged}{probe}",
            *self._who_chose(),
            *([f"for the base: {self.examples}"] if self.examples else []),
            f"gate: {gate.verdict}. {gate.reason}",
            *([f"confidence calibrated on them: {self.calibrator}"] if self.calibrator else []),
            *where_it_is(self.model, self.run_id, self.registered_name, self.champion),
        ]
        return printable_lines("\n  ".join(lines))

    def _what_was_trained(self) -> list[str]:
        fitted = [self.classifier] if self.classifier else []
        if not self.steps:
            return [f"{what}, fitted in {self.training_seconds:.1f} s" for what in fitted]
        processes = f"{self.processes} processes" if self.processes > 1 else ""
        attempts = f"{self.attempts} attempts" if self.attempts > 1 else ""
        return [
            f"{self.steps} steps in {self.training_seconds:.1f} s ({self.tokens_per_second:,.0f} tokens/s), "
            f"last loss {self.loss:.3f}" + "".join(f", {words}" for words in (processes, attempts) if words),
            *fitted,
        ]

    def _who_chose(self) -> list[str]:
        """The gate's evidence: who writes texts can choose which of them judge, as the hash is public."""
        if not (self.distinct_inputs and seems_chosen(self.held_out, self.distinct_inputs)):
            return []
        share = self.held_out / self.distinct_inputs
        return [
            f"{share:.0%} of the distinct inputs are held out, where chance gives {HELD_OUT_SHARE:.0%}: somebody may "
            "have chosen the texts that judge"
        ]


def where_it_is(model: str, run_id: str, registered_name: str, champion: str | None) -> list[str]:
    """The last lines of a report: what was logged, and what is served now."""
    return [
        f"logged as {model} (MLflow run {run_id})",
        f"models:/{registered_name}@champion is {champion}" if champion else "there is no champion yet",
    ]


def _listed(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:_MAX_COUNTS]]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
