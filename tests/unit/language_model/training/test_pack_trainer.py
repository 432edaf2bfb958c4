"""Trainings on packs in one process: packs change nothing but the speed, and a stopped training goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from sparklabel import registry
from sparklabel.errors import AnswersError, ModelError, TrainingInterrupted
from sparklabel.language_model import LanguageModel, TrainingConfig, train_on_packs
from sparklabel.language_model.training import pack_trainer
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.pack_loss import (
    PackedPiece,
    PackLoss,
    check_packs,
    microbatches,
    packing,
    pieces_of,
)
from sparklabel.language_model.training.packs import MANIFEST, PackFolder, PackManifest
from tests.unit.language_model.training.pack_folders import pack_folder

LORA = TrainingConfig(rank=4, epochs=2, batch_size=6, learning_rate=1e-2)
ALL = replace(LORA, parameters="all")
STEPS = 14


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    return pack_folder(tmp_path_factory.mktemp("packs"))


@pytest.fixture(scope="module")
def model(tiny_model):
    return LanguageModel.load(tiny_model, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def train(tiny_model, model, packs, tmp_path_factory):
    """`train(config, ...)`: the folder with what was trained, and the losses."""

    def run(config=LORA, folder=None, on_step=None, **options):
        folder, losses = folder or tmp_path_factory.mktemp("trained"), []
        summary = train_on_packs(
            model, tiny_model, packs, config, folder / "out",
            lambda step: (losses.append(step.loss), on_step and on_step(step)), **options,
        )  # fmt: skip
        return folder / "out", losses, summary

    return run


@pytest.fixture(scope="module")
def lora(train):
    return train(LORA)


@pytest.fixture(scope="module")
def whole(train):
    return train(ALL)


def stopped_and_resumed(train, config, folder, at=5):
    """The losses of both parts, and what was trained."""
    first, before = Checkpoints(folder, 1, minutes=0), []

    def on_step(step):
        before.append(step.loss)
        if step.step == at:
            first.ask_to_end()

    with pytest.raises(TrainingInterrupted, match="after step"):
        train(config, folder, on_step, checkpoints=first)
    out, after, _ = train(config, folder, checkpoints=Checkpoints(folder, 2, minutes=0))
    return before + after, out


class Products(TorchDispatchMode):
    """Inside, notes the shapes of what is multiplied."""

    def __init__(self):
        super().__init__()
        self.shapes = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "mm" in str(function):
            self.shapes.add(tuple(part.shape for part in args if isinstance(part, torch.Tensor)))
        return function(*args, **(kwargs or {}))


def pieces_like(lengths):
    return [PackedPiece(np.ones(length, np.int32), length // 2) for length in lengths]


def weights(folder):
    return load_file(next(folder.glob("*.safetensors")))


def test_the_states_of_a_piece_do_not_depend_on_what_else_is_in_the_pack(model, packs: PackFolder):
    pieces = pieces_of(packs.read(0))
    expected = [model.hidden(torch.from_numpy(piece.tokens).long()[None])[0] for piece in pieces]
    with torch.no_grad(), packing(model):
        found = PackLoss(model.model, trains_head=False).states(pieces)
    torch.testing.assert_close(found, torch.cat(expected).detach(), atol=1e-5, rtol=1e-5)


def test_the_loss_is_that_of_the_answers_tokens_after_their_prompts(model, packs: PackFolder):
    pieces = pieces_of(packs.read(0)[:3])
    expected = 0.0
    for piece in pieces:
        ids = torch.from_numpy(piece.tokens).long()
        log_p = model.model(ids[None]).logits[0].log_softmax(-1)
        expected -= sum(log_p[at - 1, ids[at]].item() for at in range(piece.answer, len(ids)))
    with torch.no_grad(), packing(model):
        assert PackLoss(model.model, trains_head=False)(pieces).item() == pytest.approx(expected, rel=1e-5)


def test_logits_in_parts_give_the_same_loss_and_gradients(model, packs: PackFolder):
    pieces, found = pieces_of(packs.read(0)), []
    model.model.requires_grad_(True)
    with packing(model):
        for at_once in (2**26, 2**10):
            model.model.zero_grad()
            loss = PackLoss(model.model, trains_head=True, logits_at_once=at_once)(pieces)
            loss.backward()
            found.append((loss.item(), model.model.lm_head.weight.grad.clone()))
    model.model.zero_grad(set_to_none=True)
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-4, rtol=1e-4)


def test_pieces_pass_through_the_model_in_parts_and_in_order():
    pieces = [PackedPiece(np.full(size, size, np.int32), 1) for size in (5, 4, 9, 2, 2)]
    parts = microbatches(pieces, 9)
    assert [[len(piece.tokens) for piece in part] for part in parts] == [[5, 4], [9], [2, 2]]


def test_on_a_cpu_pieces_of_any_lengths_are_multiplied_in_few_shapes(model):
    lengths = np.random.default_rng(0).integers(20, 31, (20, 8))
    with torch.no_grad(), packing(model), Products() as products:
        loss = PackLoss(model.model, trains_head=False)
        loss(pieces_like(lengths[0]))
        one_microbatch = len(products.shapes)
        for of_microbatch in lengths[1:]:
            loss(pieces_like(of_microbatch))
    assert len(products.shapes) <= 4 * one_microbatch  # without filling 11 times


def test_an_architecture_whose_layers_see_other_pieces_is_refused(model, packs: PackFolder, monkeypatch):
    mlp = model.model.base_model.layers[0].mlp
    own = mlp.forward
    monkeypatch.setattr(mlp, "forward", lambda states: own(states) + states.cumsum(1))
    with pytest.raises(ModelError, match="cannot be trained in packs"):
        check_packs(model, pieces_of(packs.read(0)))


@pytest.mark.model
def test_the_embedded_model_is_trained_in_packs_in_bfloat16():
    embedded = LanguageModel.load(
        registry.fetch(registry.resolve("smollm2-135m-instruct")).base, dtype="bfloat16"
    )
    text = "<|im_start|>user\nJudge.\n\nLabels: fresh, rotten\n\nText: a good movie, in which {} people meet"
    tokens = [np.array(embedded.tokenizer.encode(text.format(n)), np.int32) for n in (3, 1000, 7)]
    check_packs(embedded, [PackedPiece(one, len(one) - 1) for one in tokens])


def test_a_training_learns_and_says_what_it_did(lora):
    _, losses, summary = lora
    assert (len(losses), summary.steps, summary.examples) == (STEPS, STEPS, 120)
    assert losses[-1] < losses[0] - 0.5


def test_an_adapter_is_saved_for_all_layers(lora):
    names = weights(lora[0])
    assert {name.split("layers.")[1][0] for name in names} == set("0123")


def test_all_weights_are_saved_as_a_model_that_loads(whole, model):
    trained = LanguageModel.load(whole[0], dtype="float32", device="cpu").model.state_dict()
    before = model.model.state_dict()
    assert trained.keys() == before.keys()
    assert all(not torch.equal(trained[name], before[name]) for name in before)


def test_the_base_is_unchanged_afterwards(tiny_model, whole, lora, model):
    fresh = LanguageModel.load(tiny_model, dtype="float32", device="cpu").model.state_dict()
    assert all(torch.equal(values, fresh[name]) for name, values in model.model.state_dict().items())


@pytest.mark.parametrize("config", [LORA, ALL], ids=["lora", "all"])
def test_a_training_that_was_stopped_ends_as_if_it_had_not_been(train, lora, whole, tmp_path: Path, config):
    losses, out = stopped_and_resumed(train, config, tmp_path)
    expected = lora if config is LORA else whole
    assert losses == expected[1]
    assert all(torch.equal(values, weights(expected[0])[name]) for name, values in weights(out).items())


def test_how_much_passes_through_the_model_at_once_changes_no_loss(train, whole):
    losses = train(replace(ALL, microbatch_tokens=40))[1]
    assert losses == pytest.approx(whole[1], abs=1e-5)


def test_a_training_that_runs_out_of_memory_goes_on_with_less_at_once(train, whole, monkeypatch):
    failures, real = iter([False, False, True, False]), pack_trainer.runs_within_memory
    monkeypatch.setattr(
        pack_trainer, "runs_within_memory",
        lambda work, *, divisible: next(failures, True) and real(work, divisible=divisible),
    )  # fmt: skip
    assert train(ALL)[1] == pytest.approx(whole[1], abs=1e-5)


def test_a_checkpoint_of_other_packs_is_refused(train, tmp_path: Path):
    first = Checkpoints(tmp_path, 1, minutes=0)
    with pytest.raises(TrainingInterrupted):
        train(LORA, tmp_path, lambda step: first.ask_to_end(), checkpoints=first)
    with pytest.raises(ModelError, match="other examples or another order"):
        train(replace(LORA, seed=1), tmp_path, checkpoints=Checkpoints(tmp_path, 2))


def test_a_folder_without_packs_teaches_nothing(tiny_model, model, tmp_path: Path):
    (tmp_path / MANIFEST).write_text(PackManifest(64, (), ()).to_json())
    with pytest.raises(AnswersError, match="nothing to learn"):
        train_on_packs(model, tiny_model, PackFolder(tmp_path), LORA, tmp_path / "out")
