"""How right models are on the held-out answers: for the gate, and for a new version's calibrator.

In: a task, human answers, the models to ask. Out: a `GateResult`, a calibrator. Each model is asked once, through the
labeler that serves it. Nothing is trained, registered or promoted here.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

from sparklabel import registry
from sparklabel.confidence.calibrators import Calibrator
from sparklabel.confidence.fit import JudgedAnswer, fit_calibrator
from sparklabel.errors import AnswersError, EngineError, ModelUnreachable
from sparklabel.few_shot import ExampleSet
from sparklabel.labels.record import Label
from sparklabel.labels.status import RETRYABLE
from sparklabel.models.references import ResolvedModel
from sparklabel.table.human_answers import HumanAnswers
from sparklabel.tasks import Task, is_one_choice, judged_agreement
from sparklabel.training.baseline import CHAMPION, Baseline, find_baseline, judged_spec
from sparklabel.training.control import ONE_MODEL
from sparklabel.training.gate import GateResult, judge
from sparklabel.udf import load_engine, make_labeler


class HeldOutJudge:
    """Judges a task's models on the held-out human answers. It remembers what they answered, and each champion's
    baseline.

    Args:
        task: What is asked.
        base: The model that new versions are trained from.
        answers: The human answers; those for training say what the most frequent answer is.
        registered_name: The registered model that has the champion.
        examples: The examples that an untrained model is asked with.
    """

    def __init__(
        self,
        task: Task,
        base: ResolvedModel,
        answers: HumanAnswers,
        registered_name: str,
        examples: ExampleSet | None = None,
    ) -> None:
        self._task, self._base, self._answers = task, base, answers
        self._registered_name, self._examples = registered_name, examples
        self._baselines: dict[str | None, Baseline] = {}
        self._labels: dict[str, list[Label]] = {}

    def baseline(self, champion: str | None) -> Baseline:
        """What a new version has to beat while `champion` (a version number, None: there is none) is served.

        Raises:
            ModelError: The base cannot be asked; or the champion's files cannot be downloaded now (ModelUnreachable).
            SetupError: MLflow is not available.
        """
        if champion not in self._baselines:
            self._baselines[champion] = find_baseline(
                self._task, self._base, self._registered_name, champion, self._examples
            )
        return self._baselines[champion]

    def champion(self) -> str | None:
        """What the alias `champion` serves now: the model's identity, or its version reference if it cannot be served.
        None without a champion."""
        if (version := registry.champion(self._registered_name)) is None:
            return None
        reference = f"models:/{self._registered_name}/{version}"
        try:
            model = self.baseline(version).model
        except ModelUnreachable:  # the training is done, and its report must not be lost
            return reference
        return model.identity if model and model.reference == reference else reference

    def gate(self, candidate: ResolvedModel, champion: str | None) -> tuple[GateResult, str]:
        """Judges the registered version `candidate` while `champion` is served: the result, and the baseline's name."""
        try:
            baseline = self.baseline(champion)
        except ModelUnreachable as error:  # another job promoted it meanwhile, and the training is done
            return replace(judge([], []), reason=error.message), CHAMPION
        gate = judge(self._scores(candidate), self._scores(baseline.model), baseline=baseline.name)
        notes = (gate.reason, self._failure(candidate) or self._failure(baseline.model), baseline.note)
        return replace(gate, reason=" ".join(filter(None, notes))), baseline.name

    def accuracy(self, model: ResolvedModel) -> float:
        """How right the model is on the answers, in [0, 1]. Raises EngineError if it failed on one of them."""
        if failure := self._failure(model):
            raise EngineError(f"{model.identity} could not be judged. {failure}")
        scores = [score for score in self._scores(model) if score is not None]
        return sum(scores) / len(scores)

    def calibrator(self, candidate: ResolvedModel) -> Calibrator | None:
        """Fitted to the held-out answers, which the candidate has not learned from; None if they are too few."""
        gold = [answer.answer for answer in self._answers.held_out]
        judged = JudgedAnswer.of_labels(self._task.answer_mode, gold, self._answered(candidate))
        try:
            return fit_calibrator(judged, choices=is_one_choice(self._task.answer_mode))
        except AnswersError:
            return None

    def _scores(self, model: ResolvedModel | None) -> list[float | None]:
        """For each held-out answer how right the model is, in [0, 1], or None if the engine failed. Without a model,
        how right the most frequent training answer is."""
        mode = self._task.answer_mode
        gold = [answer.answer for answer in self._answers.held_out]
        if model is None:
            return [mode.agreement(value, self._most_frequent()) for value in gold]
        return [
            judged_agreement(mode, value, label.value, label.status)
            for value, label in zip(gold, self._answered(model), strict=True)
        ]

    def _failure(self, model: ResolvedModel | None) -> str:
        """The engine's error, if it failed on a held-out answer."""
        labels = self._answered(model) if model else []
        failed = next((label for label in labels if label.status in RETRYABLE), None)
        return f"Its error: {failed.error}" if failed else ""

    def _answered(self, model: ResolvedModel) -> list[Label]:
        """The model's labels for the held-out inputs."""
        if model.identity not in self._labels:
            self._labels[model.identity] = self._asked(model)
        return self._labels[model.identity]

    def _asked(self, model: ResolvedModel) -> list[Label]:
        with ONE_MODEL:
            spec = judged_spec(self._task, model, self._examples)
            labeler = make_labeler(spec, load_engine(spec.engine, spec.model))
            rows = [answer.inputs for answer in self._answers.held_out]
            labeler.label(rows)
            # Rows on which the engine failed are asked a second time; the labeler remembers all other answers.
            return labeler.label(rows)

    def _most_frequent(self) -> Any:
        # Answers may be unhashable, so they are counted by their text.
        answers = {repr(answer.answer): answer.answer for answer in self._answers.train}
        [(most, _)] = Counter(repr(answer.answer) for answer in self._answers.train).most_common(1)
        return answers[most]
