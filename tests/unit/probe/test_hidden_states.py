"""Hidden states of the tiny model: which they are, whatever else its engine does."""

import numpy as np
import pytest

from sparklabel.engines import ScoringRequest, engine_spec, open_engine
from sparklabel.labeler import PreparedTask
from sparklabel.language_model import LanguageModel, hidden_features, layer_at
from sparklabel.probe.hidden_states import HiddenStates
from sparklabel.tasks import classification
from tests.tiny_adapter import make_tiny_adapter

TASK = classification("tone", "text", ["calm", "angry"])
ROWS = [["oooo 1"], ["a longer text"]]
SPEC = engine_spec("transformers", {"dtype": "float32", "device": "cpu"})


def states(engine):
    return HiddenStates(engine, PreparedTask.bare(TASK, engine.tokenizer).encoder)


@pytest.fixture(scope="module")
def base(tiny_model):
    return open_engine(SPEC, "tiny", tiny_model, None)


def test_two_thirds_of_the_layers_are_run():
    assert [layer_at(layers, 2 / 3) for layers in (30, 32, 1)] == [20, 21, 1]


def test_a_row_is_read_as_a_fine_tuned_model_is_asked(base, tiny_model):
    prepared = PreparedTask.bare(TASK, base.tokenizer)
    ids = [prepared.encoder.prefix + prompt.ids for prompt in prepared.encoder.encode(ROWS)]
    model = LanguageModel.load(tiny_model, dtype="float32", device="cpu")
    np.testing.assert_allclose(states(base)(ROWS), hidden_features(model, ids, 3), atol=1e-5)


def test_an_engine_with_an_adapter_reads_the_base_and_answers_with_the_adapter(base, tiny_model, tmp_path):
    adapter = make_tiny_adapter(tiny_model, tmp_path / "adapter")
    both = open_engine(SPEC, "tiny", tiny_model, adapter, keeps_base=True)
    merged = open_engine(SPEC, "tiny", tiny_model, adapter)
    prepared = PreparedTask.bare(TASK, base.tokenizer)
    prompts = tuple(prompt.ids for prompt in prepared.encoder.encode(ROWS))
    request = ScoringRequest(prepared.encoder.prefix, prompts, prepared.trie)
    for _ in range(2):  # one after the other, in turn
        np.testing.assert_allclose(states(both)(ROWS), states(base)(ROWS), atol=1e-5)
        np.testing.assert_allclose(both.score(request), merged.score(request), atol=1e-5)
