"""A finished training, kept on this host until its version is registered.

In: what determines a training, and who trains. Out: a folder with a version's files, and what the training did. If
registering fails (the artifact store is full, a driver is missing, the process is killed), the same call finds the
folder and does not train again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparklabel import registry
from sparklabel.cache_builds import build_once
from sparklabel.cache_dir import cache_folder
from sparklabel.language_model import TrainingSummary
from sparklabel.language_model.training.run_folder import RunFolder
from sparklabel.progress import tell
from sparklabel.table.human_answers import HumanAnswers
from sparklabel.training.control import RunControl
from sparklabel.training.job import TrainingJob, TrainingOutcome
from sparklabel.training.records import Trainer

_OUTCOME = "outcome.json"


@dataclass(frozen=True, slots=True)
class KeptTraining:
    """A finished training in a folder of the cache; `outcome` is what whoever trained said of it, as JSON has it."""

    folder: Path
    outcome: Mapping[str, Any]

    def copy_files(self, to: Path) -> None:
        """Copies what is registered."""
        shutil.copytree(self.folder, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_OUTCOME))

    def remove(self) -> None:
        """Removes the folder, when the version is registered; and the checkpoints with their examples."""
        if run := self.outcome.get("kept_in"):
            RunFolder(Path(run)).remove()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_name(f"{self.folder.name}.sha256").unlink(missing_ok=True)


def kept_training(
    content: Sequence[Any], train: Callable[[Path], Mapping[str, Any]], control: RunControl
) -> KeptTraining:
    """Trains, unless the same training was finished here and not registered.

    Args:
        content: All that determines what is trained.
        train: Trains into a folder; returns the outcome.
        control: Asks for the training's end, also while another process trains the same.
    """
    key = hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:32]
    folder, is_new, is_told = cache_folder("trained") / key, False, False

    def build(partial: Path) -> None:
        nonlocal is_new
        is_new = True
        (partial / _OUTCOME).write_text(json.dumps(train(partial)), "utf-8")

    def waiting(holder: str) -> None:
        nonlocal is_told
        control.end.check()
        if not is_told:
            is_told = True
            tell(f"the same training is under way, and its result is waited for: {holder}")

    build_once(folder, build, waiting)
    if not is_new:
        tell(f"a model that was trained before and not registered is used: {folder}")
    return KeptTraining(folder, json.loads((folder / _OUTCOME).read_text("utf-8")))


def kept_adapter(
    job: TrainingJob, trainer: Trainer, run: registry.Run, control: RunControl
) -> tuple[KeptTraining, TrainingOutcome]:
    """The same for an adapter.

    Raises:
        ModelError: The base cannot be fetched, loaded or adapted.
        TrainingInterrupted: Ranks were lost again and again, or too few are left.
    """
    content = [
        job.task.fingerprint, job.base.identity, dict(job.base_record), asdict(job.config),
        *answers_content(job.answers), *([job.own] if job.own else []),
    ]  # fmt: skip
    kept = kept_training(content, lambda folder: asdict(job.train(trainer, folder, run, control)), control)
    summary = TrainingSummary.from_dict(kept.outcome["summary"])
    return kept, TrainingOutcome(**{**kept.outcome, "summary": summary})


def answers_content(answers: HumanAnswers) -> list[Any]:
    """What a training depends on of its answers."""
    return [[[one.inputs, one.answer] for one in of] for of in (answers.train, answers.held_out)]
