"""What an instruction tuning reports."""

from collections.abc import Mapping
from dataclasses import dataclass

from sparklabel.redaction import printable_lines
from sparklabel.training.gate import GateResult
from sparklabel.training.instruction.generalization import Generalization
from sparklabel.training.instruction.preparation import MANY_COPIES
from sparklabel.training.instruction.rendering import LEARNED
from sparklabel.training.report import where_it_is


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """A source of the mixture.

    Attributes:
        table: Its table, and `version` the one that was read.
        task: Its task's name.
        held_out: Whether it only judges.
        rows: Its answered rows by use: "learned", "held out", or why they are not used.
        copies: How often each row that teaches was shown, on average; 0 for a table that only judges.
        pieces: Examples in the packs.
        truncated: Those whose input was cut to fit a pack.
        too_long: Examples that did not fit, and taught nothing.
    """

    table: str
    version: int
    task: str
    held_out: bool
    rows: Mapping[str, int]
    copies: float = 0.0
    pieces: int = 0
    truncated: int = 0
    too_long: int = 0

    def __str__(self) -> str:
        others = ", ".join(f"{name} {n:,}" for name, n in sorted(self.rows.items()) if name != LEARNED)
        where = f"{self.table} version {self.version}, task {self.task}"
        if self.held_out:
            return f"{where}: judges only ({sum(self.rows.values()):,} answered rows)"
        told = f"{where}: {self.rows.get(LEARNED, 0):,} rows gave {self.pieces:,} examples"
        extra = [others] if others else []
        extra += [f"truncated {self.truncated:,}"] if self.truncated else []
        extra += [f"too long for a pack {self.too_long:,}"] if self.too_long else []
        warning = (
            f"; each row was shown {self.copies:.1f} times, and may be learned by heart: lower the weight"
            if self.copies > MANY_COPIES
            else ""
        )
        return told + (f" ({'; '.join(extra)})" if extra else "") + warning


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionReport:
    """The result of `instruction_tune`; `str()` of it is a summary to print.

    Attributes:
        sources: What each table gave.
        base: The identity of the base.
        model: The new version, `models:/NAME/VERSION`.
        registered_name: Its name.
        champion: What the alias `champion` names now; None if there is no champion.
        run_id: The MLflow run.
        gate: The verdict.
        baseline: What the new version had to beat.
        generalization: Accuracy by task, and the means; None if nothing could be judged.
        packs: Packs that were learned, each epoch; `padding` the share of them that no token fills.
        tokens: Tokens of an epoch, and `learned_tokens` those of answers.
        padding: In [0, 1].
        steps: Optimizer steps.
        loss: Of the last epoch, in nats for each token of an answer.
        training_seconds: How long the training took, with earlier attempts.
        seconds: The whole call.
        processes: How many processes trained at the end.
        attempts: How often they were started.
    """

    sources: tuple[SourceReport, ...]
    base: str
    model: str
    registered_name: str
    champion: str | None
    run_id: str
    gate: GateResult
    baseline: str
    generalization: Generalization | None
    packs: int
    tokens: int
    learned_tokens: int
    padding: float
    steps: int
    loss: float
    training_seconds: float
    seconds: float
    processes: int = 1
    attempts: int = 1

    @property
    def promoted(self) -> bool:
        """Whether the new version is now the champion."""
        return self.gate.verdict == "promoted"

    def __str__(self) -> str:
        found = self.generalization
        lines = [
            f"an instruction tuning of {self.base} on {len(self.sources)} tables",
            *map(str, self.sources),
            f"{self.packs:,} packs ({self.padding:.1%} padding), {self.tokens:,} tokens, {self.learned_tokens:,} of "
            "them learned",
            f"{self.steps:,} steps in {self.training_seconds:,.1f} s, last loss {self.loss:.3f}"
            + (f", {self.processes} processes" if self.processes > 1 else "")
            + (f", {self.attempts} attempts" if self.attempts > 1 else ""),
            *(
                f"{one.task}{' (not taught)' if one.is_unseen else ''}: {one.accuracy_new:.1%}, {self.baseline} "
                f"{one.accuracy_old:.1%}, {one.n:,} rows"
                for one in (found.tasks if found else ())
            ),
            f"gate: {self.gate.verdict}. {self.gate.reason}",
            *where_it_is(self.model, self.run_id, self.registered_name, self.champion),
        ]
        return printable_lines("\n  ".join(lines))
