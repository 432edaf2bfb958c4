"""States in float32 behind weights of 16 bits."""

import pytest
import torch
from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM

from sparklabel.language_model import LanguageModel
from sparklabel.language_model.attention import prefix as attention

PREFIX, ROW = tuple(range(1, 41)), list(range(60, 90))


def load(folder):
    return LanguageModel.load(folder, dtype="bfloat16", device="cpu")


def states(model):
    prefix = model.encode_prefix(PREFIX)
    with torch.inference_mode(), attention.after_prefix(prefix.layers), model.own_attention():
        return model.hidden(torch.tensor([ROW]), position_ids=torch.arange(40, 70)[None])[0]


@pytest.fixture(scope="module")
def half(tiny_model):
    return load(tiny_model)


def test_states_are_nearer_to_those_of_float32(half, tiny_model, monkeypatch):
    wide = states(half)
    monkeypatch.setattr(half, "_has_wide_stream", False)
    narrow = states(half)
    exact = states(LanguageModel(load(tiny_model).model.float(), half.tokenizer))
    assert (wide.dtype, narrow.dtype) == (torch.float32, torch.bfloat16)
    assert (wide - exact).norm() < (narrow - exact).norm()


def test_a_prefix_is_encoded_as_in_float32_and_kept_in_16_bits(half, tiny_model):
    exact = LanguageModel(load(tiny_model).model.float(), half.tokenizer).encode_prefix(PREFIX)
    for layer, kept in half.encode_prefix(PREFIX).layers.items():
        for found, expected in zip(kept, exact.layers[layer], strict=True):
            torch.testing.assert_close(found, expected.bfloat16())


def test_gradients_pass_through_states_of_the_weights_type(half):
    with half.own_attention():
        assert half.hidden(torch.tensor([ROW])).dtype is torch.bfloat16


def test_an_architecture_whose_norms_take_one_type_only_does_without(tiny_model, tmp_path):
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=256,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(tmp_path)
    assert states(load(tmp_path)).dtype is torch.bfloat16
