"""A finished training, kept on this host until its adapter is registered.

In: a job. Out: a folder with the adapter and its manifest, and what the training did. If registering fails (the
artifact store is full, a driver is missing, the process is killed), the same call finds the folder and does not train
again.
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from sparklabel import registry
from sparklabel.cache_builds import build_once
from sparklabel.cache_dir import cache_folder
from sparklabel.language_model import TrainingSummary
from sparklabel.language_model.training.run_folder import RunFolder
from sparklabel.progress import tell
from sparklabel.training.control import RunControl
from sparklabel.training.job import TrainingJob, TrainingOutcome
from sparklabel.training.records import Trainer

_OUTCOME = "outcome.json"


@dataclass(frozen=True, slots=True)
class FinishedTraining:
    """A finished training in a folder of the cache."""

    folder: Path
    outcome: TrainingOutcome

    def copy_files(self, to: Path) -> None:
        """Copies what is registered: the adapter and its manifest."""
        shutil.copytree(self.folder, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_OUTCOME))

    def remove(self) -> None:
        """Removes the folder, and the checkpoints with their examples, when the adapter is registered."""
        if self.outcome.kept_in:
            RunFolder(Path(self.outcome.kept_in)).remove()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_name(f"{self.folder.name}.sha256").unlink(missing_ok=True)


def finished_training(
    job: TrainingJob, trainer: Trainer, run: registry.Run, control: RunControl
) -> FinishedTraining:
    """Trains, unless the same training was finished here and not registered.

    Raises:
        ModelError: The base cannot be fetched, loaded or adapted.
        TrainingInterrupted: Ranks were lost again and again, or too few are left.
    """
    folder, is_new, is_told = cache_folder("trained") / _key(job), False, False

    def build(partial: Path) -> None:
        nonlocal is_new
        is_new = True
        outcome = job.train(trainer, partial, run, control)
        (partial / _OUTCOME).write_text(json.dumps(asdict(outcome)), "utf-8")

    def waiting(holder: str) -> None:
        nonlocal is_told
        control.end.check()
        if not is_told:
            is_told = True
            tell(f"the same training is under way, and its adapter is waited for: {holder}")

    build_once(folder, build, waiting)
    if not is_new:
        tell(f"an adapter that was trained before and not registered is used: {folder}")
    return FinishedTraining(folder, _read(folder / _OUTCOME))


def _key(job: TrainingJob) -> str:
    """A hash of everything that the adapter depends on."""
    content = [
        job.task.fingerprint, job.base.identity, dict(job.base_record), asdict(job.config),
        *([[one.inputs, one.answer] for one in answers] for answers in (job.answers.train, job.answers.held_out)),
        *([job.own] if job.own else []),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:32]


def _read(file: Path) -> TrainingOutcome:
    found = json.loads(file.read_text("utf-8"))
    return TrainingOutcome(**found | {"summary": TrainingSummary.from_dict(found["summary"])})
