"""Several processes that train one adapter together, and trainings that are stopped and go on."""

import json
import multiprocessing
import random
import signal

import pytest
from safetensors.torch import load_file

from tests.unit.language_model.training import one_of_two

pytestmark = pytest.mark.process
LOST = 1
"""The exit status of a rank that has lost another: it raises an error."""


@pytest.fixture(scope="module")
def train(tiny_model, tmp_path_factory):
    """`train(world_size, folder=None, last=0)`: the folder in which so many ranks have trained, or were killed."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([one_of_two.__name__])  # torch is imported once

    def run(world_size, folder=None, **options):
        folder = folder or tmp_path_factory.mktemp("ranks")
        ranks = [
            processes.Process(
                target=one_of_two.train, args=(tiny_model, folder, rank, world_size), kwargs=options
            )
            for rank in range(world_size)
        ]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(120)
        killed = [-signal.SIGKILL if rank == options.get("victim") else LOST for rank in range(world_size)]
        alike = [9 if options.get("last") else 0] * world_size
        assert [rank.exitcode for rank in ranks] == (killed if "victim" in options else alike)
        return folder

    return run


@pytest.fixture(scope="module")
def alone(train):
    return train(1)


@pytest.fixture(scope="module")
def two(train):
    return train(2)


def losses(folder, rank=0):
    return [step["loss"] for step in json.loads((folder / f"seen-{rank}.json").read_text())]


def weights(folder):
    return load_file(folder / "adapter-0/adapter_model.safetensors")


def assert_close(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert (found[name] - values).norm() <= tolerance * values.norm(), name


def test_two_ranks_take_the_steps_of_one(alone, two):
    assert len(losses(alone)) == 15
    assert losses(two) == pytest.approx(losses(alone), abs=1e-5)
    assert_close(weights(two), weights(alone), 1e-5)


def test_both_ranks_see_the_same_losses_and_the_first_one_saves(two):
    assert losses(two, 1) == losses(two, 0)
    assert not (two / "adapter-1").exists()


@pytest.mark.parametrize("last", [1, 7, 14])
def test_a_training_that_was_killed_ends_as_if_it_had_not_been(train, alone, last):
    folder = train(1, last=last)
    train(1, folder)
    assert len(losses(folder)) == 15 - (last - 1)  # the last step was told, and not saved yet
    assert_close(weights(folder), weights(alone), 0.0)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 2)])
def test_it_goes_on_with_any_number_of_ranks(train, alone, two, before, after):
    folder = train(before, last=6)
    train(after, folder)
    assert len(losses(folder)) == 10
    assert_close(
        weights(folder), weights(two if before == after else alone), 0.0 if before == after else 1e-5
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_rank_that_is_killed_ends_the_others_and_all_go_on_bit_by_bit(train, two, seed):
    folder = train(2, victim=seed % 2, last=random.Random(seed).randint(1, 14))
    train(2, folder)
    assert_close(weights(folder), weights(two), 0.0)


def test_the_same_ranks_train_the_same_adapter_bit_by_bit_in_bfloat16(train):
    assert_close(weights(train(2, dtype="bfloat16")), weights(train(2, dtype="bfloat16")), 0.0)


def test_a_rank_that_runs_out_of_memory_changes_no_loss(train, two):
    assert losses(train(2, full=1)) == pytest.approx(losses(two), abs=1e-6)


def test_ranks_that_do_not_see_the_same_checkpoint_train_nothing(train):
    with pytest.raises(AssertionError, match="1, 1"):
        train(2, folder=train(2, last=6), blind=1)
