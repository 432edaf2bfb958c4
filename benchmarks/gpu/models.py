"""The models that are measured: random Llamas of Llama-3's shape with its real tokenizer, made on the device, and the
embedded model.

In: a name. Out: an engine, or a folder that engines load. Weights are random: what is measured does not depend on
them. The output matrix is such that logits have a standard deviation of 2, so that labels' probabilities differ about
as a trained model's do, and a wrong one shows.
"""

import base64
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter
from transformers.utils import logging

from benchmarks.gpu.ours import (
    LanguageModel,
    ModelError,
    ModelTokenizer,
    TransformersEngine,
    embedded_model,
)

EMBEDDED = "embedded"
_CONTEXT = 8192
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 5, "num_attention_heads": 4,
             "num_key_value_heads": 2, "tie_word_embeddings": False},
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
           "num_key_value_heads": 8, "tie_word_embeddings": True},
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
           "num_key_value_heads": 8, "tie_word_embeddings": False},
}  # fmt: skip
"""Llama 3.2's 1B and Llama 3's 8B as they were published; tiny has a million parameters and a token for each byte."""
IN_MEMORY = {"8b"}
"""Made on the device and never written: a folder would be 16 GB."""
_LLAMA3_VOCABULARY, _BEGIN, _ENDS = 128_256, 128_000, [128_001, 128_009]
_LLAMA3_CHAT = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + "
    "message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


class NotHere(Exception):
    """A model that this host has not, or that is too large for what was asked: the case is skipped."""


class Models:
    """Makes models on `device` ("cuda" or "cpu"); folders go into `scratch` and are made once."""

    def __init__(self, device: str, scratch: Path) -> None:
        self._device, self._scratch = device, scratch

    def engine(self, name: str, dtype: str = "auto", device: str | None = None) -> TransformersEngine:
        """Loaded anew, from a folder by sparklabel's own code but for the largest. Raises NotHere."""
        if name not in IN_MEMORY:
            return TransformersEngine.load(self.folder(name), dtype=dtype, device=device or self._device)
        self._write_tokenizer(name)
        model = random_llama(config(name), torch.bfloat16, self._device)
        return TransformersEngine(LanguageModel(model, ModelTokenizer.load(self._scratch / name)))

    def folder(self, name: str) -> Path:
        """Weights (bfloat16, float32 for tiny), configuration and tokenizer. Raises NotHere."""
        if name in IN_MEMORY:
            raise NotHere(f"{name} would be a folder of 16 GB")
        if name == EMBEDDED:
            return _embedded()
        folder = self._scratch / name
        if not (folder / "model.safetensors").is_file():
            logging.disable_progress_bar()
            self._write_tokenizer(name)
            dtype = torch.float32 if name == "tiny" else torch.bfloat16
            random_llama(config(name), dtype, self._device).save_pretrained(folder)
            GenerationConfig(eos_token_id=config(name).eos_token_id).save_pretrained(folder)
        return folder

    def _write_tokenizer(self, name: str) -> None:
        folder = self._scratch / name
        if not (folder / "tokenizer.json").is_file():
            (byte_tokenizer() if name == "tiny" else llama3_tokenizer()).save_pretrained(folder)
            config(name).save_pretrained(folder)


def config(name: str) -> LlamaConfig:
    """The configuration of one of SHAPES."""
    shape: dict[str, Any] = SHAPES[name] | {"max_position_embeddings": _CONTEXT}
    if name == "tiny":
        return LlamaConfig(vocab_size=257, eos_token_id=0, bos_token_id=None, **shape)
    rope = {"rope_type": "default", "rope_theta": 500_000.0}
    return LlamaConfig(
        vocab_size=_LLAMA3_VOCABULARY, bos_token_id=_BEGIN, eos_token_id=_ENDS, rope_parameters=rope,
        rms_norm_eps=1e-5, **shape,
    )  # fmt: skip


def random_llama(configured: LlamaConfig, dtype: torch.dtype, device: str) -> LlamaForCausalLM:
    """Its memory is taken on the device at once, and filled there: seconds for 8 billion weights. The same seed on
    the same kind of device gives the same weights."""
    with torch.device("meta"):
        model = LlamaForCausalLM(configured).to(dtype)
    model.to_empty(device=device)
    model.tie_weights()
    # Its frequencies were computed on "meta", so they are gone; they stay in float32.
    with torch.device(device):
        model.model.rotary_emb = type(model.model.rotary_emb)(config=configured)
    random = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, configured.initializer_range, generator=random)
            else:
                parameter.fill_(1.0)
        head = model.get_output_embeddings().weight
        head.mul_(2 / configured.hidden_size**0.5 / configured.initializer_range)
    model.config.dtype = dtype
    return model.eval()


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte; `<end>` ends an answer."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<end>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


class _Llama3Converter(TikTokenConverter):
    """transformers' own converter; it would read the file with the package tiktoken."""

    @staticmethod
    def load_tiktoken_bpe(path: str) -> dict[bytes, int]:
        lines = (line.split() for line in Path(path).read_bytes().splitlines())
        return {base64.b64decode(token): int(rank) for token, rank in lines}


def llama3_tokenizer() -> PreTrainedTokenizerFast:
    """Llama-3's own, from the file in the package llama-models. Raises NotHere."""
    package = importlib.util.find_spec("llama_models")
    if package is None or package.origin is None:
        raise NotHere("the package llama-models, which has Llama-3's tokenizer, is not installed")
    names = {0: "begin_of_text", 1: "end_of_text", 6: "start_header_id", 7: "end_header_id", 9: "eot_id"}
    specials = [f"<|{names.get(n, f'reserved_special_token_{n}')}|>" for n in range(256)]
    file = Path(package.origin).parent / "llama3" / "tokenizer.model"
    tokenizer = _Llama3Converter(str(file), extra_special_tokens=specials).converted()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=specials[0], eos_token=specials[1], chat_template=_LLAMA3_CHAT
    )


def _embedded() -> Path:
    try:
        return embedded_model()
    except (ModelError, ImportError) as error:  # converting its file needs the package gguf
        raise NotHere(f"the embedded model is not here: {str(error).splitlines()[0]}") from None


@contextmanager
def weights_trained(model: Any, trained: bool) -> Iterator[None]:
    """Inside, the model's weights take gradients or do not; outside, none does and none has any."""
    model.requires_grad_(trained)
    try:
        yield
    finally:
        model.requires_grad_(False)
        model.zero_grad(set_to_none=True)
