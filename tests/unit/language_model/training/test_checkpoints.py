"""Checkpoints as files: which are found, which are kept, what a cut-off one is."""

import shutil
from pathlib import Path

import pytest
import torch

from sparklabel.errors import ModelError, TrainingInterrupted
from sparklabel.language_model.training.checkpoints import Checkpoints


def saved(folder: Path, attempt: int, *steps: int) -> Checkpoints:
    checkpoints = Checkpoints(folder, attempt)
    for step in steps:
        checkpoints.save(step, {"weights": torch.full((3,), float(step))}, {"losses": [0.5] * step})
    return checkpoints


def test_what_was_saved_is_read_back(tmp_path: Path):
    saved(tmp_path, 1, 4)
    found = Checkpoints(tmp_path, 2).newest()
    tensors, values = found.tensors(), found.values()
    assert (found.step, values) == (4, {"losses": [0.5] * 4})
    assert tensors["weights"].tolist() == [4.0] * 3


def test_the_one_with_the_most_steps_is_the_newest_whichever_attempt_wrote_it(tmp_path: Path):
    saved(tmp_path, 1, 4, 8)
    late = saved(tmp_path, 2, 6)
    assert late.newest().step == 8


def test_one_that_was_cut_off_is_not_found(tmp_path: Path):
    checkpoints = saved(tmp_path, 1, 4, 8)
    (tmp_path / "attempt-1/step-000000008/COMPLETE").unlink()
    assert checkpoints.newest().step == 4


def test_two_are_kept_and_those_of_another_attempt_are_left_alone(tmp_path: Path):
    saved(tmp_path, 1, 1)
    saved(tmp_path, 2, 2, 3, 4, 5)
    assert sorted(folder.name for folder in tmp_path.glob("*/step-*")) == [
        f"step-{step:09}" for step in (1, 4, 5)
    ]


def test_one_that_cannot_be_read_is_named(tmp_path: Path):
    checkpoints = saved(tmp_path, 1, 4)
    found = checkpoints.newest()
    (found.folder / "state.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match="step-000000004 cannot be read"):
        found.tensors()


def test_one_that_cannot_be_written_is_named_and_the_one_before_stays(tmp_path: Path):
    checkpoints = saved(tmp_path, 1, 4)
    (tmp_path / "attempt-1" / ".step-000000008").touch()
    with pytest.raises(ModelError, match="step-000000008 cannot be written"):
        checkpoints.save(8, {}, {})
    assert checkpoints.newest().step == 4


def test_one_that_another_driver_removed_is_an_interruption(tmp_path: Path):
    found = saved(tmp_path, 1, 4).newest()
    shutil.rmtree(tmp_path / "attempt-1")
    with pytest.raises(TrainingInterrupted, match="is gone"):
        found.tensors()


def test_one_is_due_when_its_time_has_come(tmp_path: Path):
    assert Checkpoints(tmp_path, minutes=0).is_due
    assert not Checkpoints(tmp_path).is_due
