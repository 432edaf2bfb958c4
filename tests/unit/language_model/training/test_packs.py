"""Packing, the files of packs, and the order in which a training takes them."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel.errors import ModelError
from sparklabel.language_model.training.pack_order import PackPlan, PackReader
from sparklabel.language_model.training.packing import best_fit
from sparklabel.language_model.training.packs import MANIFEST, PackFolder, PackManifest, Piece, write_packs

SIZE = 32


def pieces(count, seed=0):
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 20, size=(count, 2))
    return [
        Piece(tuple(range(1, 1 + prompt)), tuple(range(100, 100 + min(answer, 12))), number % 3)
        for number, (prompt, answer) in enumerate(lengths.tolist())
    ]


@pytest.fixture
def folder(tmp_path):
    """Forty files of forty pieces."""
    files = [write_packs(tmp_path / f"part-{n:05}.arrow", pieces(40, n), SIZE) for n in range(40)]
    (tmp_path / MANIFEST).write_text(PackManifest(SIZE, tuple(files), (560, 520, 520)).to_json())
    return PackFolder(tmp_path)


@given(st.lists(st.integers(1, SIZE), max_size=80))
def test_each_sequence_is_in_one_pack_and_none_is_over_full(lengths):
    packs = best_fit(lengths, SIZE)
    assert sorted(chain(*packs)) == list(range(len(lengths)))
    assert all(sum(lengths[number] for number in pack) <= SIZE for pack in packs)


def test_a_sequence_goes_into_the_fullest_pack_that_has_room():
    assert best_fit([6, 5, 4, 3, 2], 10) == [[0, 2], [1, 3, 4]]


def test_short_sequences_leave_less_than_two_percent_unfilled():
    lengths = np.random.default_rng(0).integers(20, 300, size=4000).tolist()
    assert sum(lengths) / (1024 * len(best_fit(lengths, 1024))) > 0.98


def test_pieces_are_read_back_as_they_were_written(folder: PackFolder):
    read = [
        (tuple(pack.tokens[begin:answer]), tuple(pack.tokens[answer:end]), source)
        for pack in folder.read(0)
        for begin, answer, end, source in zip(
            (0, *pack.ends[:-1]), pack.answers, pack.ends, pack.sources, strict=True
        )
    ]
    assert sorted(read) == sorted((one.prompt, one.answer, one.source) for one in pieces(40, 0))


def test_equal_pieces_give_equal_files(tmp_path: Path):
    first, second = (write_packs(tmp_path / name, pieces(40), SIZE) for name in ("a", "b"))
    assert first.sha256 == second.sha256


def test_the_manifest_counts_what_is_learned(folder: PackFolder):
    manifest = folder.manifest
    assert manifest.learned == sum(pack.learned for n in range(40) for pack in folder.read(n))
    assert manifest.pieces == 1600
    assert manifest.padding == pytest.approx(1 - manifest.tokens / (manifest.packs * SIZE))


def test_a_file_that_was_changed_is_refused(folder: PackFolder):
    file = folder.path / "part-00003.arrow"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="not those that were written"):
        folder.read(3)


def test_a_folder_that_was_not_finished_has_nothing(tmp_path: Path):
    with pytest.raises(ModelError, match="no prepared examples"):
        _ = PackFolder(tmp_path).manifest


def plan(folder, **options):
    return PackPlan(folder.manifest, **({"seed": 0, "epochs": 2, "batch_size": 7} | options))


def test_each_epoch_takes_each_pack_once_and_in_another_order(folder: PackFolder):
    steps = [plan(folder).step(number) for number in range(plan(folder).steps)]
    epochs = [[pack for step in steps if step.epoch == epoch for pack in step.packs] for epoch in (1, 2)]
    assert [len(set(epoch)) for epoch in epochs] == [folder.manifest.packs] * 2
    assert epochs[0] != epochs[1]


def test_the_order_follows_from_the_seed(folder: PackFolder):
    assert plan(folder).step(3) == plan(folder).step(3) != plan(folder, seed=1).step(3)
    assert plan(folder).digest != plan(folder, seed=1).digest


def test_a_training_may_begin_anywhere_in_the_order(folder: PackFolder):
    order, late = plan(folder), PackReader(folder, plan(folder))
    number = order.steps_per_epoch + 3
    read = [pack.tokens.tolist() for pack in late.packs(number)]
    late.close()
    assert read == [folder.read(file)[place].tokens.tolist() for file, place in order.step(number).packs]


def test_the_files_of_the_steps_to_come_are_read_ahead_and_not_all_of_them(folder: PackFolder):
    order = plan(folder)
    ahead = order.files_ahead(0)
    assert {file for number in range(5) for file, _ in order.step(number).packs} <= set(ahead)
    assert len(ahead) < 40
