"""A model that is divided among ranks trains as one that is not, is saved whole, and goes on with other ranks."""

import json
import multiprocessing
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from sparklabel import registry
from sparklabel.errors import ModelError
from sparklabel.language_model import LanguageModel, train_on_packs
from sparklabel.language_model.training.checkpoints import Checkpoint, Checkpoints
from sparklabel.language_model.training.memory_plan import (
    MemoryPlan,
    ModelSizes,
    model_sizes,
    plan_memory,
    plan_whole,
)
from tests.unit.language_model.training import one_shard
from tests.unit.language_model.training.pack_folders import pack_folder

pytestmark = pytest.mark.process
STEPS = 14


@pytest.fixture(scope="module")
def start():
    """`start(target, model, folder, world_size, **options)`: the exit codes of so many ranks."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([one_shard.__name__])  # torch is imported once

    def run(target, model, folder, world_size, **options):
        ranks = [
            processes.Process(target=target, args=(model, folder, rank, world_size), kwargs=options)
            for rank in range(world_size)
        ]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(300)
        return [rank.exitcode for rank in ranks]

    return run


@pytest.fixture(scope="module")
def train(start, tiny_model, tmp_path_factory):
    """`train(name, world_size)`: the folder in which so many ranks have trained."""

    def run(name, world_size, folder=None, **options):
        folder = folder or tmp_path_factory.mktemp("shards")
        codes = start(one_shard.train, tiny_model, folder, world_size, name=name, **options)
        assert codes == [0] * world_size
        return folder

    return run


@pytest.fixture(scope="module")
def whole(tiny_model, tmp_path_factory):
    """The same training of a model that is not divided: losses and weights."""
    folder, losses = tmp_path_factory.mktemp("whole"), []
    model = LanguageModel.load(tiny_model, dtype="float32", device="cpu")
    train_on_packs(
        model, tiny_model, pack_folder(folder / "packs"), one_shard.CONFIG, folder / "out",
        lambda step: losses.append(step.loss),
    )  # fmt: skip
    return losses, weights(folder)


@pytest.fixture(scope="module")
def two(train):
    return train("two", 2)


def losses(folder, name):
    return [step["loss"] for step in json.loads((folder / f"seen-{name}.json").read_text())]


def weights(folder):
    return load_file(next((folder / "out").glob("*.safetensors")))


def assert_same_weights(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert (found[name] - values).norm() <= 1e-4 * values.norm(), name


def test_two_shards_take_the_steps_of_a_whole_model(two, whole):
    assert losses(two, "two") == pytest.approx(whole[0], abs=1e-5)
    assert_same_weights(weights(two), whole[1])


def test_what_is_saved_loads_like_any_model(two, tiny_model):
    names = LanguageModel.load(two / "out", dtype="float32", device="cpu").model.state_dict().keys()
    assert names == LanguageModel.load(tiny_model, dtype="float32", device="cpu").model.state_dict().keys()
    assert not (two / "out" / "sharded").exists()


def test_it_goes_on_with_another_number_of_ranks(train, whole):
    folder = train("first", 2, last=5)
    train("second", 3, folder)
    assert len(losses(folder, "first")) < STEPS
    assert losses(folder, "first") + losses(folder, "second") == pytest.approx(whole[0], abs=1e-5)


def test_recomputed_activations_and_smaller_microbatches_change_no_loss(train, whole):
    folder = train("small", 2, tokens=64, checkpointing=True)
    assert losses(folder, "small") == pytest.approx(whole[0], abs=1e-5)


def test_ranks_that_are_killed_while_a_checkpoint_is_written_leave_the_one_before(
    start, train, tiny_model, whole, tmp_path
):
    codes = start(one_shard.train, tiny_model, tmp_path, 2, name="killed", dies=6, slow=True)
    assert codes == [-signal.SIGKILL] * 2
    saved = Checkpoints(tmp_path).newest().step
    train("after", 2, tmp_path)
    assert 1 <= saved < 6
    assert losses(tmp_path, "after") == pytest.approx(whole[0][saved:], abs=1e-5)


def test_a_rank_without_memory_says_how_much_did_not_fit_and_the_others_that_it_is_lost(
    start, tiny_model, tmp_path
):
    codes = start(one_shard.train, tiny_model, tmp_path, 2, name="full", full=1)
    assert codes == [one_shard.LOST, one_shard.FULL]


def test_the_one_rank_that_is_left_goes_on(start, train, tiny_model, whole):
    folder = train("first", 2, last=5)
    assert start(one_shard.train, tiny_model, folder, 1, name="left", keeps_group=True) == [0]
    assert losses(folder, "first") + losses(folder, "left") == pytest.approx(whole[0], abs=1e-5)


def test_a_rank_that_is_killed_is_lost_to_the_others(start, tiny_model, tmp_path):
    codes = start(one_shard.train, tiny_model, tmp_path, 2, name="killed", dies=3, victim=0)
    assert codes == [-signal.SIGKILL, one_shard.LOST]


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_training_goes_on_in_the_way_in_which_it_began(train, whole, before, after):
    folder = train("first", before, last=5)
    train("second", after, folder)
    assert losses(folder, "first") + losses(folder, "second") == pytest.approx(whole[0], abs=1e-5)


def test_a_checkpoint_that_takes_some_steps_to_write_has_the_losses_of_its_own_step(train, tmp_path):
    train("slow", 2, tmp_path, slow=True)
    saved = [
        Checkpoint(one.parent, int(one.parent.name[5:])) for one in tmp_path.glob("attempt-*/*/COMPLETE")
    ]
    assert saved
    assert all(len(one.values()["losses"]) == one.step < STEPS + 1 for one in saved)


def test_adapters_beside_a_divided_base_do_not_depend_on_the_number_of_ranks(train):
    config = replace(one_shard.CONFIG, parameters="lora", rank=4)
    one = train("one", 1, config=config)
    folder = train("first", 2, last=5, config=config)
    train("second", 2, folder, config=config)
    assert losses(folder, "first") + losses(folder, "second") == pytest.approx(losses(one, "one"), abs=1e-5)
    assert_same_weights(weights(folder), weights(one))
    assert {name.split(".")[-2] for name in weights(one)} == {"lora_A", "lora_B"}


@pytest.mark.model
def test_no_rank_ever_holds_the_whole_model_and_what_is_written_is_what_was_read(start, tmp_path):
    base = registry.fetch(registry.resolve("smollm2-135m-instruct")).base
    assert start(one_shard.there_and_back, base, tmp_path, 2, name="back") == [0, 0]
    for rank in range(2):
        found = json.loads((tmp_path / f"memory-{rank}.json").read_text())
        in_float32 = 2 * found["whole"]
        assert found["held"] < 0.51 * in_float32
        assert found["peak"] < 0.60 * in_float32


SIZES = ModelSizes(
    parameters=8 * 10**9, layer_parameters=22 * 10**7, layers=32, outer_parameters=96 * 10**7, saved=300_000.0,
    state=8192, width=2,
)  # fmt: skip
GIB = 2**30


def test_the_plan_takes_the_largest_microbatch_that_fits_without_recomputing():
    plan = plan_memory(SIZES, 8, 2048, 80 * GIB)
    assert (plan.checkpointing, plan.microbatch_tokens % 2048) == (False, 0)
    assert plan.bytes <= 0.9 * 80 * GIB < SIZES.divided(8, plan.microbatch_tokens + 2048, checkpointing=False)


def test_activations_are_recomputed_where_a_pack_does_not_fit_otherwise():
    assert plan_memory(SIZES, 8, 2048, 48 * GIB).checkpointing


def test_a_model_that_is_not_divided_takes_what_fits_and_recomputes_if_need_be():
    assert plan_whole(SIZES, 2048, 400 * GIB, 4096) == MemoryPlan(
        4096, False, SIZES.whole(4096, checkpointing=False)
    )
    large = replace(SIZES, saved=2_000_000.0)
    assert plan_whole(large, 2048, 360 * GIB, 4096).microbatch_tokens == 2048
    assert plan_whole(large, 2048, 280 * GIB, 4096).checkpointing


def test_more_than_what_was_tried_is_not_tried_again_and_less_may_be():
    plan = plan_memory(SIZES, 8, 2048, 80 * GIB, most_tokens=2048 * 60)
    assert plan == plan_memory(SIZES, 8, 2048, 80 * GIB)
    assert plan_memory(SIZES, 8, 2048, 80 * GIB, most_tokens=2048).microbatch_tokens == 2048


@pytest.mark.parametrize("refuse", [plan_memory, None], ids=["divided", "whole"])
def test_a_model_that_cannot_fit_is_refused_with_how_many_devices_would_do(refuse):
    with pytest.raises(ModelError, match=r"all 8,000,000,000 weights takes .* GiB .* 40.0 GiB") as error:
        plan_memory(SIZES, 2, 2048, 40 * GIB) if refuse else plan_whole(SIZES, 2048, 40 * GIB, 2048)
    enough = int(error.value.hint.split()[0])
    assert plan_memory(SIZES, enough, 2048, 40 * GIB)
    with pytest.raises(ModelError):
        plan_memory(SIZES, enough - 1, 2048, 40 * GIB)


def test_what_the_user_says_is_kept_and_refused_where_it_does_not_fit():
    plan = plan_memory(SIZES, 8, 2048, 80 * GIB, microbatch_tokens=4096, checkpointing=True)
    assert (plan.microbatch_tokens, plan.checkpointing) == (4096, True)
    with pytest.raises(ModelError, match=r"takes 1124\.7 GiB on each of 8 devices") as error:
        plan_memory(SIZES, 8, 2048, 80 * GIB, microbatch_tokens=2048 * 60, checkpointing=False)
    assert error.value.hint.startswith("Lower microbatch_tokens")


def test_on_a_host_the_copies_that_checkpoints_are_written_from_count_too():
    on_host = replace(SIZES, on_host=True)
    found = [one.divided(8, 2048, checkpointing=True) for one in (on_host, SIZES)]
    assert found[0] - found[1] == pytest.approx(12 * 10**9, rel=1e-6)


def test_a_layer_of_the_model_is_measured(tiny_model):
    found = model_sizes(tiny_model, torch.device("cpu"), 64)
    assert (found.layers, found.parameters) == (4, 4 * found.layer_parameters + found.outer_parameters)
    assert 1_000 < found.saved < 50_000
