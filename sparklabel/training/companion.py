"""The companion job: fine-tune on human answers, log to MLflow, let the gate decide.

In: a table with human answers. Out: a registered version with its card, promoted when it is better on held-out
answers, and a TrainingReport. The version that is judged is read back from the registry: what is gated is served.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.cards import ModelCard
from sparklabel.engines import engine_spec
from sparklabel.errors import ColumnError, TaskError
from sparklabel.evaluation.probe import probe_answers
from sparklabel.labeler import Question
from sparklabel.language_model import (
    LanguageModel,
    ModelTokenizer,
    Recipe,
    StepMetrics,
    TrainingExample,
    TrainingSummary,
    train_lora,
)
from sparklabel.progress import WorkProgress
from sparklabel.prompts import PromptEncoder, bare_template
from sparklabel.references import DEFAULT, ResolvedModel, tokenizer_folder
from sparklabel.table.columns import open_task_table
from sparklabel.tasks import Task, scored
from sparklabel.training.examples import HumanAnswer, HumanAnswers, check_answers, human_answers
from sparklabel.training.gate import GateResult, judge
from sparklabel.training.opponent import Opponent, find_opponent
from sparklabel.training.promotion import promote_if_better
from sparklabel.training.report import TrainingReport
from sparklabel.udf import LabelerSpec, load_engine, make_labeler


def finetune(
    spark: SparkSession,
    table: str,
    task: Task,
    *,
    key: str | Sequence[str],
    base: str = DEFAULT,
    registered_name: str | None = None,
    num_processes: int = 1,
    column: str | None = None,
    force: bool = False,
    recipe: Recipe | None = None,
    experiment: str = "sparklabel",
    progress: bool = True,
) -> TrainingReport:
    """Fine-tunes `base` with LoRA on the human answers of a table, and registers the result in MLflow.

    Trains on answers whose input is still what was answered, except a fixed fifth of the inputs that only ever judges.
    The new version becomes `models:/NAME@champion` when it is better than the champion (or the base, without one that
    can be asked) on those, with at least 100 of them and 95% confidence. The name comes from task and table unless
    `registered_name` says otherwise. `force` trains although a label or all agreement is missing. Runs in this
    process; the table is only read.

    Raises AnswersError, TableError, ColumnError, KeyColumnError, ModelError, SetupError or TaskError before anything
    is trained.
    """
    started = time.monotonic()
    if num_processes != 1:
        raise TaskError(
            f"num_processes={num_processes}: training on several processes is not there yet; use 1."
        )
    scored(task, "fine-tuned")
    opened = open_task_table(spark, table, task, key, column)
    target, owned = opened.target, opened.owned
    if owned.missing:
        raise ColumnError(
            f"{table} has no labels of the task {task.name!r}.",
            hint="Label it first: sparklabel.label_table(...).",
        )
    answers = human_answers(spark, target, owned, task)
    check_answers(answers, task, target, owned, force)
    resolved = registry.resolve(base)
    name = registered_name or registry.default_registered_name(task.name, target.location)
    training = _Training(task, resolved, answers, recipe or Recipe(), name)
    training.opponent(registry.champion(name))
    with (
        registry.start_run(f"finetune {task.name}", experiment=experiment) as run,
        tempfile.TemporaryDirectory() as tmp,
    ):
        run.log_table(table, location=target.location, version=target.version)
        run.log_params(training.params() | {"table": table, "table_version": target.version})
        summary, probe = training.train(Path(tmp), run, progress)
        version = registry.log_version(run, Path(tmp), name, {"task_fingerprint": task.fingerprint})
        candidate = registry.resolve(f"models:/{name}/{version}")
        gate, opponent = promote_if_better(name, version, partial(training.gate, candidate))
        _log_gate(run, gate, opponent, probe)
        champion = candidate.identity if gate.verdict == "promoted" else training.served()
        return TrainingReport(
            table=table, version=target.version, task=task.name, base=resolved.identity, registered_name=name,
            model=f"models:/{name}/{version}", champion=champion, run_id=run.id,
            counts=training.counts, agreements=answers.agreements, held_out=len(answers.held_out),
            left_out=answers.left_out, loss=summary.loss, steps=summary.steps, training_seconds=summary.seconds,
            tokens_per_second=summary.tokens / summary.seconds, seconds=time.monotonic() - started, gate=gate,
            opponent=opponent, probe_accuracy=probe,
        )  # fmt: skip


class _Training:
    """One fine-tuning: the task, the pinned base, the answers, the recipe, the registered name."""

    def __init__(
        self, task: Task, base: ResolvedModel, answers: HumanAnswers, recipe: Recipe, registered_name: str
    ) -> None:
        self.task, self.base, self.answers, self.recipe = task, base, answers, recipe
        self.mode = scored(task, "fine-tuned")
        self.counts = answers.counts(self.mode)
        self._base_record = registry.base_record(base)  # an adapter cannot stand on another: said at once
        tokenizer = ModelTokenizer.load(tokenizer_folder(base))
        self._asked = Question.rendered(task, tokenizer, bare_template(task, tokenizer))
        self._name = registered_name
        self._opponents: dict[str | None, Opponent] = {}

    def opponent(self, champion: str | None) -> Opponent:
        """Whom the new version has to beat while this version (None: none) is the champion; looked for once."""
        if champion not in self._opponents:
            self._opponents[champion] = find_opponent(self.task, self.base, self._name, champion)
        return self._opponents[champion]

    def served(self) -> str | None:
        """What the champion's alias names now: its identity, or its number alone where it cannot be served."""
        if (version := registry.champion(self._name)) is None:
            return None
        model = self.opponent(version).model
        reference = f"models:/{self._name}/{version}"
        return model.identity if model and model.reference == reference else reference

    def params(self) -> dict[str, Any]:
        return {
            "task": self.task.name, "task_fingerprint": self.task.fingerprint, "base": self.base.identity,
            "answers": len(self.answers.train), "agreements": self.answers.agreements,
            "held_out": len(self.answers.held_out), "labels": json.dumps(self.counts),
        }  # fmt: skip

    def train(self, folder: Path, run: registry.Run, progress: bool) -> tuple[TrainingSummary, float | None]:
        """Trains into `folder` (adapter and card); the summary, and the linear probe's held-out accuracy."""
        model, asked = LanguageModel.load(registry.materialise(self.base).base), self._asked
        examples = self._examples(asked.encoder)
        with WorkProgress(f"fine-tuning {self.task.name}", 1, progress, "frozen layers") as bar:

            def step(metrics: StepMetrics) -> None:
                bar.resize(metrics.steps)
                bar.advance(1, f"loss {metrics.loss:.3f}")
                run.log_metrics(
                    {"loss": metrics.loss, "learning_rate": metrics.learning_rate}, step=metrics.step
                )

            summary = train_lora(model, examples, asked.trie, self.recipe, folder / "adapter", step)
        run.log_params({f"recipe.{name}": value for name, value in asdict(summary.recipe).items()})
        run.log_metrics(
            {"train_seconds": summary.seconds, "tokens_per_second": summary.tokens / summary.seconds}
        )
        self._write_card(folder, asked)
        return summary, self._probe(model, asked.encoder)

    def _examples(self, encoder: PromptEncoder) -> list[TrainingExample]:
        prompts = encoder.encode([_texts(answer) for answer in self.answers.train])
        return [
            TrainingExample(encoder.prefix + prompt.ids, choice)
            for prompt, answer in zip(prompts, self.answers.train, strict=True)
            for choice in self.mode.chosen(answer.answer)
        ]

    def _write_card(self, folder: Path, asked: Question) -> None:
        card = ModelCard(
            task=self.task.to_dict(), task_fingerprint=self.task.fingerprint, template=asked.template,
            labels=self.mode.choices, label_ids=asked.trie.paths, base=self._base_record,
        )  # fmt: skip
        (folder / registry.CARD).write_text(json.dumps(card.to_dict(), ensure_ascii=False, indent=2), "utf-8")

    def _probe(self, model: LanguageModel, encoder: PromptEncoder) -> float | None:
        """Held-out accuracy of a linear probe over the frozen base: the baseline that fine-tuning has to beat."""
        if not self.answers.held_out:
            return None
        train = [(_texts(answer), self.mode.chosen(answer.answer)) for answer in self.answers.train]
        test = [_texts(answer) for answer in self.answers.held_out]
        found = probe_answers(model, encoder, train, test, sorted({said for _, said in train}))
        gold = [self.mode.chosen(answer.answer) for answer in self.answers.held_out]
        right = [said == g for (said, _), g in zip(found, gold, strict=True)]
        return sum(right) / len(right)

    def gate(self, candidate: ResolvedModel, champion: str | None) -> tuple[GateResult, str]:
        """Judges the registered version against the opponent while this version is the champion."""
        opponent = self.opponent(champion)
        gate = judge(self._right(candidate), self._right(opponent.model), opponent=opponent.name)
        return replace(gate, reason=f"{gate.reason} {opponent.note}".rstrip()), opponent.name

    def _right(self, model: ResolvedModel | None) -> list[bool]:
        """Per held-out answer, whether the model says the same; None says what most training answers say."""
        said = self._said(model) if model else [self._most_frequent()] * len(self.answers.held_out)
        return [s == self.mode.chosen(a.answer) for s, a in zip(said, self.answers.held_out, strict=True)]

    def _said(self, model: ResolvedModel) -> list[tuple[int, ...]]:
        """The choices of the model for each held-out input, through the labeler that serves it."""
        spec = LabelerSpec(self.task, model, engine_spec("auto", {}))
        labeler = make_labeler(spec, load_engine(spec.engine, spec.model))
        labels = labeler.label([answer.inputs for answer in self.answers.held_out])
        return [self.mode.chosen(label.value) for label in labels]

    def _most_frequent(self) -> tuple[int, ...]:
        return Counter(self.mode.chosen(a.answer) for a in self.answers.train).most_common(1)[0][0]


def _texts(answer: HumanAnswer) -> list[str]:
    return [text or "" for text in answer.inputs]


def _log_gate(run: registry.Run, gate: GateResult, opponent: str, probe: float | None) -> None:
    figures = {"accuracy_new": gate.accuracy_new, "accuracy_old": gate.accuracy_old, "gain": gate.gain,
               "gain_lower95": gate.lower95, "gain_upper95": gate.upper95}  # fmt: skip
    run.log_metrics({f"gate.{k}": v for k, v in figures.items() if gate.n} | {"probe_accuracy": probe})
    run.set_tags({"gate.verdict": gate.verdict, "gate.reason": gate.reason, "gate.opponent": opponent})
