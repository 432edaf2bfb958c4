"""Sentence encoders by reference, and how their folders say that vectors are made."""

import json
import shutil

import numpy as np
import pytest

from sparklabel.errors import ModelError
from sparklabel.language_model import SentenceEncoder
from sparklabel.models import references
from sparklabel.models.base_record import base_record, recorded_base
from sparklabel.models.encoders import resolve_encoder
from sparklabel.models.shipped_encoder import ENCODER


@pytest.fixture
def own(tiny_encoder, tmp_path):
    """A copy of the encoder, to be changed."""
    return shutil.copytree(tiny_encoder, tmp_path / "own")


def write(folder, file, content):
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(json.dumps(content))


@pytest.mark.model
@pytest.mark.parametrize("which", ["shipped", "folder"])
def test_what_was_recorded_is_the_same_encoder(which, tiny_encoder):
    encoder = resolve_encoder(ENCODER if which == "shipped" else str(tiny_encoder))
    assert recorded_base("models:/m/1", base_record(encoder)).identity == encoder.identity
    assert (references.fetch(encoder) / "modules.json").is_file()


def test_how_vectors_are_made_is_part_of_an_encoder_s_identity(own):
    before = resolve_encoder(str(own)).identity
    write(own, "1_Pooling/config.json", {"pooling_mode_cls_token": True})
    assert resolve_encoder(str(own)).identity != before


def test_a_text_s_vector_is_the_mean_of_its_tokens_or_the_first_one(own):
    mean = SentenceEncoder.load(own, "m").embed(["abc"])
    write(own, "1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    first = SentenceEncoder.load(own, "m").embed(["abc"])
    assert np.allclose(np.linalg.norm([mean[0], first[0]], axis=1), 1, atol=1e-5)
    assert abs(float(mean[0] @ first[0])) < 0.999


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("modules.json", [{"type": "sentence_transformers.models.Dense"}], "a module 'Dense'"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pools with pooling_mode_max_tokens"),
    ],
)
def test_vectors_that_are_made_in_another_way_are_refused(own, file, content, says):
    write(own, file, content)
    with pytest.raises(ModelError, match=says):
        SentenceEncoder.load(own, "m")


def test_what_is_no_encoder_is_refused(tiny_model):
    with pytest.raises(ModelError, match=r"it has no modules\.json"):
        resolve_encoder(str(tiny_model))
    with pytest.raises(ModelError, match="The encoder 'nothing' does not resolve"):
        resolve_encoder("nothing")
    with pytest.raises(ModelError, match="is a language model"):
        resolve_encoder(references.EMBEDDED)


def test_pickled_weights_are_refused(own):
    (own / "model.safetensors").rename(own / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"safetensors"):
        resolve_encoder(str(own))
