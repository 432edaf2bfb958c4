"""What the probe reads of rows, with a tiny encoder and a tiny model."""

import pytest

from sparklabel.classifiers.classifier import HIDDEN, SENTENCE
from sparklabel.errors import ModelError
from sparklabel.reviewing.probe.sources import open_sources
from sparklabel.tasks import classification

TASK = classification("tone", "text", ["calm", "angry"])


@pytest.fixture
def opened(tiny_encoder, tiny_model):
    def open_them(features, encoder=tiny_encoder, model=tiny_model):
        return open_sources(TASK, features, str(encoder), str(model))

    return open_them


@pytest.mark.parametrize(
    ("features", "sources"), [("auto", [SENTENCE, HIDDEN]), ("sentence", [SENTENCE]), ("hidden", [HIDDEN])]
)
def test_what_is_wanted_is_read_and_sentence_vectors_first(opened, features, sources):
    found = opened(features)
    assert list(found.read) == sources
    assert [len(read([["one"], ["two"]])) for read in found.read.values()] == [2] * len(sources)
    assert (found.names is not None) == (SENTENCE in sources)
    assert found.missing == ""


@pytest.mark.parametrize(("missing", "left"), [("encoder", HIDDEN), ("model", SENTENCE)])
def test_one_of_two_is_enough_and_what_is_missing_is_said(opened, tmp_path, missing, left):
    found = opened("auto", **{missing: tmp_path})
    assert list(found.read) == [left]
    assert "config.json" in found.missing


def test_with_neither_there_is_none(opened, tmp_path):
    with pytest.raises(ModelError, match=r"config\.json"):
        opened("auto", encoder=tmp_path, model=tmp_path)
