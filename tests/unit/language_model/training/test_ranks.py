"""Several processes that train one adapter together, and trainings that are stopped and go on."""

import json
import subprocess
import sys

import pytest
from safetensors.torch import load_file

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def train(tiny_model, tmp_path_factory):
    """`train(world_size, folder=None, last=0)`: the folder in which so many ranks have trained, or were killed."""

    def run(world_size, folder=None, last=0):
        folder = folder or tmp_path_factory.mktemp("ranks")
        program = "tests.unit.language_model.training.one_of_two"
        ranks = [
            subprocess.Popen(
                [sys.executable, "-m", program, *map(str, (tiny_model, folder, rank, world_size, last))]
            )
            for rank in range(world_size)
        ]
        assert {rank.wait(120) for rank in ranks} == {9 if last else 0}
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
    assert len(losses(folder)) == 15 - last
    assert_close(weights(folder), weights(alone), 0.0)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 2)])
def test_it_goes_on_with_any_number_of_ranks(train, alone, two, before, after):
    folder = train(before, last=6)
    train(after, folder)
    assert len(losses(folder)) == 9
    assert_close(
        weights(folder), weights(two if before == after else alone), 0.0 if before == after else 1e-5
    )
