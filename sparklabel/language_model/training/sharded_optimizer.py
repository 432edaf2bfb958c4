"""An optimizer on weights that are divided among ranks, and its checkpoints, which every rank writes a part of.

In: a sharded module with its gradients. Out: changed weights; or a checkpoint, written while the training goes on. A
checkpoint is complete when all ranks have written their parts: they tell at the steps that follow, and the first one
marks it then.
"""

import shutil
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

from sparklabel.errors import ModelError, TrainingInterrupted
from sparklabel.language_model.training.checkpoints import Checkpoint, Checkpoints
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.loop import Votes
from sparklabel.language_model.training.optimizer import cosine_schedule
from sparklabel.language_model.training.pack_loss import PackLoss
from sparklabel.language_model.training.ranks import Ranks
from sparklabel.language_model.training.sharded_model import cause, checkpoint_errors, named_weights
from sparklabel.progress import tell
from sparklabel.redaction import first_line

PARTS = "parts"
"""The folder of a checkpoint in which torch writes."""


@dataclass(slots=True)
class _Saving:
    """A checkpoint that is being written."""

    step: int
    values: Mapping[str, Any]
    partial: Path
    future: "Future[Any]"


class ShardedOptimizer:
    """AdamW on this rank's shards of a module's weights, with the schedule of its learning rate. `group` is one of all
    ranks for saves alone: their messages must not meet those of the steps."""

    def __init__(
        self, loss: PackLoss, config: TrainingConfig, steps: int, ranks: Ranks, group: dist.ProcessGroup
    ) -> None:
        self._loss, self._most, self._ranks = loss, config.max_grad_norm, ranks
        self._optimizer = torch.optim.AdamW(loss.parameters(), config.peak, weight_decay=config.weight_decay)
        self._schedule = cosine_schedule(self._optimizer, steps, config.warmup_ratio)
        self._group = group
        self._device = next(loss.parameters()).device
        self._checkpoints: Checkpoints | None = None
        self._saving: _Saving | None = None

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        (rate,) = self._schedule.get_last_lr()
        return float(rate)

    def all_reduce(self, votes: Votes) -> Votes:
        """Adds up the ranks' votes; their gradients were added up as they were computed."""
        writing = self._saving is not None and not self._saving.future.done()
        told = torch.tensor(
            [votes.loss, float(votes.is_ending), float(votes.is_due), float(writing)], device=self._device
        )
        self._ranks.sum(told)
        loss, is_ending, is_due, are_writing = told.tolist()
        if self._saving is not None and not are_writing:
            self._tell(self._complete())
        return Votes(loss, is_ending > 0, is_due > 0)

    def step(self) -> None:
        """Takes a step along the gradient, scaled down to the greatest norm; none if the gradient is not finite."""
        norm: Any = torch.nn.utils.clip_grad_norm_(self._loss.parameters(), self._most)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        if torch.isfinite(norm):
            self._optimizer.step()
            self._schedule.step()
        self._optimizer.zero_grad()

    def save(self, checkpoints: Checkpoints, step: int, values: Mapping[str, Any]) -> None:
        """Begins to write a checkpoint, after one that is still being written. Raises ModelError on all ranks if the
        first one cannot begin."""
        if self._saving is not None:
            self._saving.future.exception()
            self._tell(self._complete())
        self._checkpoints, error = checkpoints, None
        try:
            if self._ranks.rank == 0:
                checkpoints.begin(step)
        except OSError as found:
            error = found
        if self._any(error is not None):
            raise ModelError(f"The checkpoint at step {step} cannot be written{_because(error)}.")
        partial = checkpoints.partial(step)
        facts = {"schedule": self._schedule.state_dict()}
        future: Any = dcp.async_save(
            self._state(), checkpoint_id=str(partial / PARTS), process_group=self._group
        )
        self._saving = _Saving(step, {**values, "optimizer": facts}, partial, future)

    def finish(self) -> None:
        """Waits until what is being written is written. Raises ModelError on all ranks if it cannot be."""
        if self._saving is not None:
            self._saving.future.exception()
            if problem := self._complete():
                raise ModelError(problem)

    def _complete(self) -> str:
        """Marks what all ranks have written. Returns what is wrong with it, on all ranks; empty if nothing is."""
        assert self._saving is not None
        assert self._checkpoints is not None
        saving, self._saving = self._saving, None
        error = saving.future.exception()
        if not self._any(error is not None):
            try:
                if self._ranks.rank == 0:
                    self._checkpoints.complete(saving.step, saving.values)
            except OSError as found:
                error = found
            if not self._any(error is not None):
                return ""
        if self._ranks.rank == 0:
            shutil.rmtree(saving.partial, ignore_errors=True)
        return f"The checkpoint at step {saving.step} cannot be written{_because(error)}."

    def _tell(self, problem: str) -> None:
        """An earlier checkpoint is not worth the training."""
        if problem and self._ranks.rank == 0:
            tell(f"{problem} The training goes on.")

    def _any(self, is_so: bool) -> bool:
        """Whether any rank says so."""
        found = torch.tensor([float(is_so)], device=self._device)
        self._ranks.sum(found)
        return bool(found.item())

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on from what `save` wrote, also with another number of ranks."""
        state, folder = self._state(), checkpoint.folder
        with checkpoint_errors(
            f"The checkpoint in {folder} cannot be read",
            "Delete that folder: the training goes on from the one before.",
        ):
            try:
                dcp.load(state, checkpoint_id=str(folder / PARTS), process_group=self._group)
            except (dcp.api.CheckpointException, OSError):
                if not folder.exists():
                    raise TrainingInterrupted(f"The checkpoint in {folder} is gone.") from None
                raise
        set_optimizer_state_dict(self._loss, self._optimizer, optim_state_dict=state["optimizer"])
        self._schedule.load_state_dict(dict(checkpoint.values()["optimizer"]["schedule"]))

    def _state(self) -> dict[str, Any]:
        """The weights' shards themselves, and AdamW's moments of them."""
        return {
            "weights": named_weights(self._loss),
            "optimizer": get_optimizer_state_dict(self._loss, self._optimizer),
        }


def _because(error: BaseException | None) -> str:
    return f": {first_line(cause(error))}" if error else ", as another rank says"
