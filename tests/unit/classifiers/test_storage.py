"""Heads in files."""

import numpy as np
import pytest

from sparklabel.classifiers.heads import Head
from sparklabel.classifiers.storage import load_classifier, save_heads
from sparklabel.errors import ModelError

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(30, 4)).astype(np.float32)
HEAD = Head.fit(FEATURES, RANDOM.integers(3, size=(30, 1)), (3,), 1.0, standardize=True)


def test_what_was_saved_answers_bit_by_bit_the_same(tmp_path):
    save_heads({"sentence": HEAD}, tmp_path)
    found = load_classifier(tmp_path, {"sentence": 1.0}, (3,)).heads["sentence"]
    assert found.log_probabilities(FEATURES).tobytes() == HEAD.log_probabilities(FEATURES).tobytes()


def test_a_head_for_other_choices_is_refused(tmp_path):
    save_heads({"sentence": HEAD}, tmp_path)
    with pytest.raises(ModelError, match="for other choices"):
        load_classifier(tmp_path, {"sentence": 1.0}, (4,))


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04pickle"])
def test_a_file_that_is_missing_or_damaged_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "heads.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        load_classifier(tmp_path, {"sentence": 1.0}, (3,))


def test_a_head_that_was_not_saved_is_named(tmp_path):
    save_heads({"sentence": HEAD}, tmp_path)
    with pytest.raises(ModelError, match="hidden"):
        load_classifier(tmp_path, {"hidden": 1.0}, (3,))
