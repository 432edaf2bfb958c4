"""One fine-tuning: trains on the answers, writes the card, and finds out how right a version is on held-out answers.

In: a task, a pinned base, human answers. Out: a folder with adapter and card; a gate's result. It registers nothing.
"""

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sparklabel import registry
from sparklabel.confidence.calibrators import Calibrator, others_of
from sparklabel.confidence.fit import Judged, fit_calibrator
from sparklabel.engines import engine_spec
from sparklabel.errors import AnswersError, ModelUnreachable
from sparklabel.few_shot import ExampleSet
from sparklabel.labeler import PreparedTask
from sparklabel.labels.record import Label
from sparklabel.labels.status import ANSWERED, RETRYABLE
from sparklabel.language_model import (
    LanguageModel,
    ModelTokenizer,
    StepMetrics,
    TrainingConfig,
    TrainingExample,
    TrainingSummary,
    choice_examples,
    text_examples,
    train_lora,
)
from sparklabel.models.manifest import AdapterManifest
from sparklabel.models.references import ResolvedModel, tokenizer_folder
from sparklabel.probe.linear import probe_answers
from sparklabel.progress import WorkProgress
from sparklabel.prompts import bare_template
from sparklabel.table.human_answers import HumanAnswer, HumanAnswers
from sparklabel.tasks import Generated, Scored, Task, has_choices
from sparklabel.training.baseline import Baseline, find_baseline
from sparklabel.training.gate import GateResult, judge
from sparklabel.udf import LabelerSpec, load_engine, make_labeler, vacate_gpu


class TrainingJob:
    """One fine-tuning: the task, the pinned base, the answers, the recipe, the registered name, and the examples that
    an untrained model is asked with."""

    def __init__(
        self,
        task: Task,
        base: ResolvedModel,
        answers: HumanAnswers,
        config: TrainingConfig,
        registered_name: str,
        examples: ExampleSet | None = None,
    ) -> None:
        self.task, self.base, self.answers, self.config = task, base, answers, config
        self.mode, self._shown = task.answer_mode, examples
        self.counts = answers.counts(self.mode)
        self._base_record = registry.base_record(base)  # an adapter cannot stand on another: said at once
        tokenizer = ModelTokenizer.load(tokenizer_folder(base))
        self._asked = PreparedTask.rendered(task, tokenizer, bare_template(task, tokenizer))
        self._name = registered_name
        self._opponents: dict[str | None, Baseline] = {}
        self._judged: dict[str, list[Label]] = {}
        self.cut = 0

    def baseline(self, champion: str | None) -> Baseline:
        """Whom the new version has to beat while this version (None: none) is the champion; looked for once."""
        if champion not in self._opponents:
            self._opponents[champion] = find_baseline(self.task, self.base, self._name, champion, self._shown)
        return self._opponents[champion]

    def served(self) -> str | None:
        """What the champion's alias names now: its identity, or its number alone where it cannot be served."""
        if (version := registry.champion(self._name)) is None:
            return None
        reference = f"models:/{self._name}/{version}"
        try:
            model = self.baseline(version).model
        except ModelUnreachable:  # the training is done: its report must not be lost
            return reference
        return model.identity if model and model.reference == reference else reference

    def params(self) -> dict[str, Any]:
        return {
            "task": self.task.name, "task_fingerprint": self.task.fingerprint, "base": self.base.identity,
            "answers": len(self.answers.train), "agreements": self.answers.agreements,
            "held_out": len(self.answers.held_out), "labels": json.dumps(self.counts),
        }  # fmt: skip

    def train(self, folder: Path, run: registry.Run, progress: bool) -> tuple[TrainingSummary, float | None]:
        """Trains into `folder` (adapter and card); the summary, and the linear probe's held-out accuracy."""
        vacate_gpu()
        model, asked = LanguageModel.load(registry.fetch(self.base).base), self._asked
        examples = self._examples(model.tokenizer)
        with WorkProgress(f"fine-tuning {self.task.name}", 1, progress, "frozen layers") as bar:

            def step(metrics: StepMetrics) -> None:
                bar.resize(metrics.steps)
                bar.advance(1, f"loss {metrics.loss:.3f}")
                run.log_metrics(
                    {"loss": metrics.loss, "learning_rate": metrics.learning_rate}, step=metrics.step
                )

            summary = train_lora(
                model, examples, self.config, folder / "adapter", step, choices=len(asked.label_ids) or None
            )
        run.log_params({f"recipe.{name}": value for name, value in asdict(summary.config).items()})
        run.log_metrics(
            {"train_seconds": summary.seconds, "tokens_per_second": summary.tokens / summary.seconds}
        )
        self._write_card(folder)
        return summary, self._probe(model)

    def _examples(self, tokenizer: ModelTokenizer) -> list[TrainingExample]:
        encoder, answers = self._asked.encoder.shorter(self.config.max_tokens), self.answers.train
        encoded = encoder.encode([_texts(a) for a in answers])
        self.cut = sum(prompt.truncated for prompt in encoded)
        prompts = [encoder.prefix + prompt.ids for prompt in encoded]
        if isinstance(self.mode, Generated):
            texts = tokenizer.encode_rows([self.mode.written(a.answer) for a in answers])
            return text_examples(zip(prompts, map(tuple, texts), strict=True), tokenizer.stop_ids[0])
        chosen = [
            (prompt, choice)
            for prompt, answer in zip(prompts, answers, strict=True)
            for choice in self.mode.chosen(answer.answer)
        ]
        return choice_examples(chosen, self._asked.trie)

    def _write_card(self, folder: Path) -> None:
        manifest = AdapterManifest(
            task=self.task.to_dict(), task_fingerprint=self.task.fingerprint, template=self._asked.template,
            labels=self.mode.signature, label_ids=self._asked.label_ids, base=self._base_record,
        )  # fmt: skip
        (folder / registry.MANIFEST).write_text(
            json.dumps(manifest.to_dict(), ensure_ascii=False, indent=2), "utf-8"
        )

    def _probe(self, model: LanguageModel) -> float | None:
        """Held-out accuracy of a linear probe over the frozen base: the baseline that fine-tuning has to beat. None
        for written answers, which have no classes."""
        if not self.answers.held_out or not isinstance(self.mode, Scored):
            return None
        chosen = self.mode.chosen
        train = [(_texts(answer), chosen(answer.answer)) for answer in self.answers.train]
        test = [_texts(answer) for answer in self.answers.held_out]
        found = probe_answers(model, self._asked.encoder, train, test, sorted({said for _, said in train}))
        right = [
            said == chosen(answer.answer)
            for (said, _), answer in zip(found, self.answers.held_out, strict=True)
        ]
        return sum(right) / len(right)

    def gate(self, candidate: ResolvedModel, champion: str | None) -> tuple[GateResult, str]:
        """Judges the registered version against the opponent while this version is the champion."""
        try:
            baseline = self.baseline(champion)
        except ModelUnreachable as error:  # another job promoted it meanwhile; the training is done
            return replace(judge([], []), reason=error.message), "the champion"
        gate = judge(self._right(candidate), self._right(baseline.model), baseline=baseline.name)
        notes = (gate.reason, self._failure(candidate) or self._failure(baseline.model), baseline.note)
        return replace(gate, reason=" ".join(filter(None, notes))), baseline.name

    def _failure(self, model: ResolvedModel | None) -> str:
        """What the engine said where it failed on a held-out answer."""
        labels = self._labels(model) if model else []
        failed = next((label for label in labels if label.status in RETRYABLE), None)
        return f"It said: {failed.error}" if failed else ""

    def _right(self, model: ResolvedModel | None) -> list[float | None]:
        """Per held-out answer, how right the model is, in [0, 1], or None where the engine failed; no model says what
        most training answers say."""
        gold = [answer.answer for answer in self.answers.held_out]
        if model is None:
            return [self.mode.agreement(value, self._most_frequent()) for value in gold]
        return [
            None if label.status in RETRYABLE
            else self.mode.agreement(value, label.value) if label.status in ANSWERED else 0.0
            for value, label in zip(gold, self._labels(model), strict=True)
        ]  # fmt: skip

    def _labels(self, model: ResolvedModel) -> list[Label]:
        """The model's answers to the held-out inputs, through the labeler that serves it; asked once."""
        if model.identity not in self._judged:
            spec = LabelerSpec(self.task, model, engine_spec("auto", {}), examples=self._shown)
            labeler = make_labeler(spec, load_engine(spec.engine, spec.model))
            rows = [a.inputs for a in self.answers.held_out]
            labeler.label(rows)
            # What the engine failed on is asked once more: the labeler remembers the other answers.
            self._judged[model.identity] = labeler.label(rows)
        return self._judged[model.identity]

    def calibrator(self, candidate: ResolvedModel) -> Calibrator | None:
        """Fitted on the held-out answers, which the candidate has not learned from; None where they are too few."""
        judged = [
            Judged(
                raw,
                tuple(others_of(raw, label.alternatives)),
                self.mode.agreement(a.answer, label.value) == 1,
            )
            for a, label in zip(self.answers.held_out, self._labels(candidate), strict=True)
            if (raw := label.raw_confidence) is not None
        ]
        try:
            return fit_calibrator(judged, choices=has_choices(self.task))
        except AnswersError:
            return None

    def _most_frequent(self) -> Any:
        answers = {repr(answer.answer): answer.answer for answer in self.answers.train}
        return answers[Counter(repr(answer.answer) for answer in self.answers.train).most_common(1)[0][0]]


def _texts(answer: HumanAnswer) -> list[str]:
    return [text or "" for text in answer.inputs]
