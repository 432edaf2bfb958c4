"""A classifier that reads hidden states of the tiny model: fitted, written as a version's files, and asked."""

from types import SimpleNamespace

import numpy as np
import pytest

from sparklabel import classification, registry
from sparklabel.engines import EngineSpec
from sparklabel.errors import SetupError
from sparklabel.models.encoders import resolve_encoder
from sparklabel.models.manifest import ModelManifest
from sparklabel.table.human_answers import HumanAnswer
from sparklabel.training.baseline import judged_spec
from sparklabel.training.classifier_fit import AnsweredRows, fit_heads, write_version
from sparklabel.training.frozen_base import FrozenBase, is_quickly_read
from sparklabel.udf import engine_of, load_engine, make_labeler

pytestmark = pytest.mark.usefixtures("store", "one_thread")
TONE = classification("tone", "text", ["calm", "angry"])
BLIND = SimpleNamespace(identity="blind", embed=lambda texts: np.ones((len(texts), 4), np.float32) / 2)
"""An encoder to which all texts are alike."""


def answers(count):
    texts = ((f"{'xxxx' if n % 2 else 'oooo'} {n}", "angry" if n % 2 else "calm") for n in range(count))
    return [HumanAnswer((text,), answer, True) for text, answer in texts]


@pytest.fixture(scope="module")
def version(store, tiny_model, tiny_encoder, tmp_path_factory):
    """The folder of a version, and what was fitted."""
    frozen = FrozenBase.open(TONE, registry.resolve(str(tiny_model)))
    fitted = fit_heads(AnsweredRows.of(TONE, answers(80)), BLIND, states=frozen.states)
    folder = tmp_path_factory.mktemp("version")
    write_version(TONE, resolve_encoder(str(tiny_encoder)), fitted.classifier, folder, frozen=frozen)
    return folder, fitted, frozen


def test_it_reads_hidden_states_where_they_know_what_sentence_vectors_do_not(version):
    assert version[1].classifier.sources == ("hidden",)
    assert version[1].fit.accuracy == 1.0


def test_a_version_that_reads_no_sentence_vectors_names_no_encoder(version):
    folder, _, frozen = version
    manifest = ModelManifest.from_json((folder / registry.MANIFEST).read_text())
    assert manifest.base == registry.base_record(frozen.base)
    assert (manifest.classifier.encoder, manifest.reads_states) == (None, True)


def test_it_answers_as_it_was_fitted(version):
    with registry.unregistered_version(version[0]) as model:
        spec = judged_spec(TONE, model)
        labels = make_labeler(spec, load_engine(spec.engine, model)).label([["xxxx 90"], ["oooo 91"]])
    assert [label.value for label in labels] == ["angry", "calm"]
    assert min(label.confidence for label in labels) > 0.9


def test_an_engine_without_hidden_states_is_refused(version):
    with (
        registry.unregistered_version(version[0]) as model,
        pytest.raises(SetupError, match="hidden states, which the vllm engine does not give"),
    ):
        engine_of(model, EngineSpec("vllm"))


def test_without_a_gpu_only_a_small_model_that_is_here_is_read(tiny_model, monkeypatch):
    base = registry.resolve(str(tiny_model))
    assert is_quickly_read(base)
    monkeypatch.setattr("sparklabel.training.frozen_base._MOST_BYTES_ON_CPU", 1000)
    assert not is_quickly_read(base)
