"""What one fine-tuning trains: an adapter with its manifest, in a folder.

In: a task, a pinned base, human answers, a TrainingConfig. Out: a folder, and a `TrainingOutcome`. Nothing is
registered or judged here; `HeldOutJudge` judges.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from sparklabel import registry
from sparklabel.errors import AnswersError, SetupError
from sparklabel.labeler import PreparedTask
from sparklabel.language_model import (
    LanguageModel,
    ModelTokenizer,
    StepMetrics,
    TrainingConfig,
    TrainingExample,
    TrainingSummary,
    choice_examples,
    text_examples,
)
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.probe.hidden_states import HiddenStates
from sparklabel.probe.linear import probe_answers
from sparklabel.progress import WorkProgress
from sparklabel.prompts import Prompt
from sparklabel.table.human_answers import HumanAnswers
from sparklabel.tasks import Generated, Scored, Task
from sparklabel.training.classifier_fit import row_texts, sentence_probe
from sparklabel.training.control import ONE_MODEL, RunControl
from sparklabel.training.records import Trainer, Training
from sparklabel.udf import vacate_gpu

_MAX_PROBED = 5_000
"""Answers that probes learn from: more make a baseline no better, and cost minutes."""
_STORED_AS = {"lora_alpha": "alpha", "warmup_ratio": "warm_up"}
"""Fields of TrainingConfig whose MLflow parameter keeps the name that it had before 0.1: runs stay comparable."""


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What a training did.

    Attributes:
        summary: Steps, loss, tokens and seconds.
        truncated: Training answers whose prompt was longer than `TrainingConfig.max_tokens`.
        probe_accuracy: The held-out accuracy of the best linear probe, the baseline that fine-tuning has to beat. None
            without held-out answers, and for generated answers, which have no classes.
        probe: What that one reads: the frozen base's hidden states, or sentence vectors.
        processes: How many ranks it ended with.
        attempts: How often ranks were started.
        kept_in: The folder with its checkpoints; empty if there are none.
    """

    summary: TrainingSummary
    truncated: int
    probe_accuracy: float | None
    processes: int = 1
    attempts: int = 1
    kept_in: str = ""
    probe: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """Everything a training needs; only the base's weights are not loaded yet.

    Attributes:
        task: What is learned.
        base: The model to fine-tune.
        base_record: How the adapter's manifest names the base.
        prepared: The task as the fine-tuned model will be asked, with the short prompt.
        answers: The human answers, split into those that train and those that judge.
        config: How to train.
        own: Keeps it apart from equal trainings, whose files each removes when it was judged: a candidate's MLflow run.
    """

    task: Task
    base: ResolvedModel
    base_record: Mapping[str, str]
    prepared: PreparedTask
    answers: HumanAnswers
    config: TrainingConfig
    own: str = ""

    @classmethod
    def prepare(
        cls, task: Task, base: ResolvedModel, answers: HumanAnswers, config: TrainingConfig, own: str = ""
    ) -> "TrainingJob":
        """Reads the base's tokenizer, and no weights.

        Raises:
            ModelError: The base is itself an adapter, or its tokenizer cannot be read.
            TaskError: The task does not fit the base's context.
        """
        base_record = registry.base_record(base)
        tokenizer = ModelTokenizer.load(registry.tokenizer_folder(base))
        prepared = PreparedTask.bare(task, tokenizer)
        return cls(
            task=task,
            base=base,
            base_record=base_record,
            prepared=prepared,
            answers=answers,
            config=config,
            own=own,
        )

    def train(
        self, trainer: Trainer, folder: Path, run: registry.Run, control: RunControl
    ) -> TrainingOutcome:
        """Trains into `folder` (adapter and manifest), and logs the steps to `run` while it trains.

        Raises:
            ModelError: The base cannot be fetched, loaded or adapted.
            TrainingInterrupted: Ranks were lost again and again, or too few are left.
        """
        prompts, load = self._encoded_prompts(), cache(self._load)
        tokenizer = ModelTokenizer.load(registry.tokenizer_folder(self.base))
        training = Training(
            base=self.base, examples=self._examples(prompts, tokenizer), config=self.config,
            choices=len(self.prepared.label_ids) or None, load=load, own=self.own,
        )  # fmt: skip
        with WorkProgress(f"fine-tuning {self.task.name}", 1, control.progress, "frozen layers") as bar:

            def on_step(step: StepMetrics) -> None:
                control.step = step
                bar.resize(step.steps)
                bar.advance(1, f"loss {step.loss:.3f}")
                run.log_metrics({"loss": step.loss, "learning_rate": step.learning_rate}, step=step.step)

            trained = trainer(training, folder / "adapter", on_step)
        summary = trained.summary
        run.log_params(
            {f"recipe.{_STORED_AS.get(name, name)}": value for name, value in asdict(summary.config).items()}
            | {"processes": trained.processes}
        )
        run.log_metrics(
            {"train_seconds": summary.seconds, "tokens_per_second": summary.tokens / summary.seconds,
             "attempts": trained.attempts}
        )  # fmt: skip
        (folder / registry.MANIFEST).write_text(self._manifest().to_json(), "utf-8")
        truncated = sum(prompt.truncated for prompt in prompts)
        probes = self._probes(load)
        best = max(probes, key=probes.__getitem__, default="")
        return TrainingOutcome(
            summary, truncated, probes.get(best), trained.processes, trained.attempts, str(trained.kept_in or ""), best,
        )  # fmt: skip

    def _load(self) -> LanguageModel:
        vacate_gpu()
        return LanguageModel.load(registry.fetch(self.base).base)

    def _encoded_prompts(self) -> list[Prompt]:
        encoder = self.prepared.encoder.shorter(self.config.max_tokens)
        return encoder.encode(row_texts(self.answers.train))

    def _examples(self, prompts: list[Prompt], tokenizer: ModelTokenizer) -> list[TrainingExample]:
        """Token ids to learn from: one example for each choice that an answer stands for, or one for each text."""
        mode, answers = self.task.answer_mode, self.answers.train
        ids = [self.prepared.encoder.prefix + prompt.ids for prompt in prompts]
        if isinstance(mode, Generated):
            texts = tokenizer.encode_rows([mode.written(answer.answer) for answer in answers])
            return text_examples(zip(ids, map(tuple, texts), strict=True), tokenizer.stop_ids[0])
        chosen = [
            (prompt, choice)
            for prompt, answer in zip(ids, answers, strict=True)
            for choice in mode.chosen(answer.answer)
        ]
        return choice_examples(chosen, self.prepared.trie)

    def _manifest(self) -> ModelManifest:
        return ModelManifest(
            task=self.task.to_dict(),
            task_fingerprint=self.task.fingerprint,
            template=self.prepared.template,
            labels=self.task.answer_mode.signature,
            label_ids=self.prepared.label_ids,
            base=dict(self.base_record),
        )

    def _probes(self, load: Callable[[], LanguageModel]) -> dict[str, float]:
        """The held-out accuracy of linear probes, by what they read."""
        from sparklabel.engines.transformers import TransformersEngine  # imports torch

        mode, held_out = self.task.answer_mode, self.answers.held_out
        if not held_out or not isinstance(mode, Scored):
            return {}
        # Evenly spaced, since answers are sorted by their texts.
        learned = self.answers.train[:: -(-len(self.answers.train) // _MAX_PROBED)]
        chosen = [mode.chosen(answer.answer) for answer in learned]
        train = list(zip(row_texts(learned), chosen, strict=True))
        gold = [mode.chosen(answer.answer) for answer in held_out]
        classes = sorted(set(chosen))
        with ONE_MODEL:
            states = HiddenStates(TransformersEngine(load()), self.prepared.encoder)
            predicted = probe_answers(states, train, row_texts(held_out), classes)
            right = sum(p == g for (p, _), g in zip(predicted, gold, strict=True))
            probes = {"hidden states": right / len(gold)}
            with suppress(SetupError, AnswersError):  # it is not installed; or there are too few answers
                probes["sentence vectors"] = sentence_probe(self.task, learned, held_out)
        return probes
