"""Checkpoints of a training: folders from which it goes on as if it had not been stopped.

In: tensors, and values that JSON has. Out: a folder a checkpoint, `attempt-A/step-N`, which holds `state.safetensors`,
`state.json` and, written last, `COMPLETE`. No pickle; but in place of the first file a model that is divided among
ranks has a folder of torch's, which holds some. What has no COMPLETE was cut off, and is never read.

Each attempt writes into a folder of its own, so that a process that was stopped, counted as dead, and goes on does not
write over what its successor wrote.
"""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sparklabel.errors import ModelError, TrainingInterrupted
from sparklabel.language_model.training.durable import sync
from sparklabel.redaction import first_line

_TENSORS, _VALUES, _COMPLETE = "state.safetensors", "state.json", "COMPLETE"
_KEPT = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete one: `step` steps are done."""

    folder: Path
    step: int

    def values(self) -> dict[str, Any]:
        """The values that were saved. Raises ModelError if they cannot be read, TrainingInterrupted if the checkpoint
        was removed meanwhile."""
        with self._errors():
            found: dict[str, Any] = json.loads((self.folder / _VALUES).read_text("utf-8"))
            return found

    def tensors(self) -> dict[str, Tensor]:
        """The same for the tensors."""
        with self._errors():
            return load_file(self.folder / _TENSORS)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, SafetensorError) as error:
            if not self.folder.exists():  # another driver's training of the same has removed it
                raise TrainingInterrupted(f"The checkpoint in {self.folder} is gone.") from None
            raise ModelError(
                f"The checkpoint in {self.folder} cannot be read: {error}",
                hint="Delete that folder: the training goes on from the one before.",
            ) from None


class Checkpoints:
    """The checkpoints of one training, of which this process writes those of one attempt.

    Args:
        folder: Of the training, for all its attempts.
        attempt: This one's number, from 1.
        minutes: How often one is written.
    """

    def __init__(self, folder: Path, attempt: int = 1, minutes: float = 10.0) -> None:
        self._folder, self._own = folder, folder / f"attempt-{attempt}"
        self._seconds, self._last = 60.0 * minutes, time.monotonic()
        self.end_asked = False
        """Whether this process was asked to end: the training writes a checkpoint after its current step, and stops."""

    def newest(self) -> Checkpoint | None:
        """The complete one with the most steps, of any attempt."""
        found = [
            Checkpoint(marker.parent, int(marker.parent.name.removeprefix("step-")))
            for marker in self._folder.glob(f"attempt-*/step-*/{_COMPLETE}")
        ]
        return max(found, key=lambda one: one.step, default=None)

    def ask_to_end(self) -> None:
        """May be called by a signal's handler, or in another thread."""
        self.end_asked = True

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._last >= self._seconds

    def save(self, step: int, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Writes one, and removes all but the two newest of this attempt. Raises ModelError if it cannot be written."""
        self._last = time.monotonic()  # also if it fails: the next one is tried when it is due
        partial = self.partial(step)
        try:
            self.begin(step)
            save_file(
                {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, partial / _TENSORS
            )
            sync(partial / _TENSORS)
            self.complete(step, values)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise ModelError(
                f"The checkpoint {self._folder_of(step)} cannot be written: {first_line(error)}"
            ) from error

    def partial(self, step: int) -> Path:
        """The folder in which a checkpoint is written."""
        folder = self._folder_of(step)
        return folder.with_name(f".{folder.name}")

    def begin(self, step: int) -> None:
        """Makes that folder. Raises OSError."""
        self._last = time.monotonic()
        shutil.rmtree(self.partial(step), ignore_errors=True)
        self.partial(step).mkdir(parents=True)

    def complete(self, step: int, values: Mapping[str, Any]) -> None:
        """Says that all is in it, and removes all but the two newest of this attempt. Raises OSError."""
        folder, partial = self._folder_of(step), self.partial(step)
        (partial / _VALUES).write_text(json.dumps(dict(values)), "utf-8")
        sync(partial / _VALUES)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        (folder / _COMPLETE).touch()
        sync(folder / _COMPLETE)
        sync(folder)
        for old in sorted(self._own.glob("step-*"))[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def _folder_of(self, step: int) -> Path:
        return self._own / f"step-{step:09}"
