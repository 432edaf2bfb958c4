"""A loaded causal language model: its weights, its forward pass, and how much of it memory holds.

In: token ids. Out: hidden states. `option_scorer` scores labels, and `generate` writes answers; both encode a shared
prefix once, and take rows of similar lengths together.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparklabel import machine
from sparklabel.errors import ModelError, SetupError
from sparklabel.language_model.attention import prefix as attention
from sparklabel.language_model.batches import length_sorted_batches
from sparklabel.language_model.memory_limits import free_device_memory, keep_freed_memory, runs_within_memory
from sparklabel.language_model.token_tree import TokenTree
from sparklabel.language_model.tokenizer import ModelTokenizer
from sparklabel.language_model.wide_stream import WideStream
from sparklabel.redaction import first_line

_CPU_BATCH_TOKENS, _AMX_BATCH_TOKENS, _GPU_BATCH_TOKENS = 1024, 1536, 32768
"""Other sizes were measured in benchmarks/LOG.md."""
_SENTENCE = "The customer writes that the parcel came two days late, and asks for the money back."
"""The text that attention is checked on. It has ordinary words only: the states of special tokens that a model was
never trained on differ widely between kinds of CPU in bfloat16."""
_ALIKE = 0.98
_KEPT_PER_BATCH_TOKEN = 8
"""A cached token takes far less memory than one that passes through the model."""


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """The encoded beginning that all prompts of a task share: its token ids, and its keys and values by layer."""

    ids: tuple[int, ...]
    layers: attention.LayerCache


class LanguageModel:
    """A causal LM on one device. It is not safe for two threads at once; load one per process or GPU.

    `batch_tokens` is the most tokens in one forward pass, and `kept_tokens` the most that are cached of the rows being
    generated. Both are lowered when memory runs out.
    """

    def __init__(self, model: Any, tokenizer: ModelTokenizer, batch_tokens: int | None = None) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.device = next(model.parameters()).device
        self.batch_tokens = batch_tokens or best_batch_tokens(self.device)
        self.kept_tokens = self.batch_tokens * _KEPT_PER_BATCH_TOKEN
        self._stock_attention = model.config._attn_implementation
        self._active: Mapping[str, Tensor] = {}
        self._replaced: dict[str, Tensor] = {}
        self._has_wide_stream = False
        self._check_attention()

    @classmethod
    def load(
        cls,
        folder: Path,
        adapter: Path | None = None,
        *,
        dtype: str = "auto",
        device: str | None = None,
        batch_tokens: int | None = None,
        threads: int | None = None,
    ) -> "LanguageModel":
        """Loads a model folder, and merges a LoRA adapter into it.

        Args:
            folder: the model, with safetensors weights and its tokenizer.
            adapter: a folder in PEFT's layout.
            dtype: a torch dtype's name, or "auto" (`best_dtype`).
            device: as torch names it; None is a GPU if there is one.
            batch_tokens: the most tokens in one forward pass; None is the default for the device.
            threads: torch's, on the CPU; None leaves them.

        Raises:
            ModelError: if the files do not load, or the architecture does not work with sparklabel's attention.
            SetupError: if there is no such device.
        """
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        device = device or default_device().type
        _check_device(device)
        if device == "cpu":
            keep_freed_memory()
        if threads is not None:
            torch.set_num_threads(threads)
        # An adapter is merged in float32: many of its updates are smaller than a weight's rounding in bfloat16.
        target = best_dtype(device) if dtype == "auto" else getattr(torch, dtype)
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32 if adapter else target,
                use_safetensors=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelError(f"The model in {folder} does not load: {first_line(error)}") from None
        if adapter is not None:
            model = _merged(model, adapter)
        return cls(_cast(model.to(device), target), ModelTokenizer.load(folder), batch_tokens)

    def base_weights(self) -> dict[str, Tensor]:
        """The weights that it was loaded with, by name, whatever adapter is active."""
        return {name: p.data for name, p in self.model.named_parameters()} | self._replaced

    def set_active_adapter(self, weights: Mapping[str, Tensor]) -> None:
        """Replaces the base weights of these names until the next call; an empty mapping restores the base."""
        if weights is self._active:
            return
        parameters = dict(self.model.named_parameters())
        for name, own in self._replaced.items():
            parameters[name].data = own
        self._replaced = {name: parameters[name].data for name in weights}
        for name, tensor in weights.items():
            parameters[name].data = tensor
        self._active = weights

    def encode_prefix(self, ids: Sequence[int]) -> SharedPrefix:
        """Encodes a shared prefix, which may be empty."""
        layers: attention.LayerCache = {}
        if ids:
            with torch.inference_mode(), attention.capturing(layers), self.own_attention(exact=True):
                self.hidden(torch.tensor([ids], device=self.device))
        dtype = self.model.dtype
        return SharedPrefix(tuple(ids), {n: (k.to(dtype), v.to(dtype)) for n, (k, v) in layers.items()})

    def in_batches(self, lengths: Sequence[int], extra: int, work: Callable[[list[int]], None]) -> None:
        """Calls `work` with all indices in batches; when memory does not hold one, it and later ones are halved."""
        todo = length_sorted_batches(lengths, extra, self.batch_tokens)
        while todo:
            batch = todo[0]
            if runs_within_memory(lambda: work(batch), divisible=len(batch) > 1):  # noqa: B023 called at once
                todo = todo[1:]
                continue
            self.lower_batch_tokens(len(batch) * (lengths[batch[0]] + extra))
            rest = [index for batch in todo for index in batch]
            again = length_sorted_batches([lengths[i] for i in rest], extra, self.batch_tokens)
            todo = [[rest[i] for i in batch] for batch in again]

    def lower_batch_tokens(self, tokens: int) -> None:
        """Records that this many tokens did not fit into memory at once: from now on at most half of them are tried."""
        self.batch_tokens = max(1, min(self.batch_tokens, tokens) // 2)
        free_device_memory()

    def lower_kept_tokens(self, tokens: int) -> None:
        """Does the same for cached tokens."""
        self.kept_tokens = max(1, min(self.kept_tokens, tokens) // 2)
        free_device_memory()

    def hidden(self, ids: Tensor, **inputs: Any) -> Tensor:
        """The last hidden states [B, S, D] of token ids [B, S]: after the final norm, before the output matrix."""
        states: Tensor = self.model.base_model(input_ids=ids, use_cache=False, **inputs).last_hidden_state
        return states

    @contextmanager
    def attention_by(self, name: str) -> Iterator[None]:
        """Inside, the model uses the attention that is registered with transformers by this name; outside, its own."""
        self.model.set_attn_implementation(name)
        try:
            yield
        finally:
            self.model.set_attn_implementation(self._stock_attention)

    @contextmanager
    def own_attention(self, *, exact: bool = False) -> Iterator[None]:
        """Inside, the model uses sparklabel's attention. Without gradients states are in float32 then, also where
        weights have 16 bits, if the architecture can do that on this device; `exact`: all that is computed is."""
        is_wide = self._has_wide_stream and not torch.is_grad_enabled()
        with self.attention_by(attention.NAME), WideStream(exact=exact) if is_wide else nullcontext():
            yield

    def forward_with_tree(
        self, rows: list[Sequence[int]], start: int, tree: TokenTree
    ) -> tuple[Tensor, Tensor]:
        """Hidden states of the rows, padded on the right and followed by the tree; and each row's length."""
        lengths = torch.tensor([len(row) for row in rows])
        longest, nodes = int(lengths.max()), len(tree.tokens)
        ids = torch.zeros(len(rows), longest + nodes, dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
        positions = torch.arange(start, start + longest).expand(len(rows), -1)
        ids, positions, lengths = ids.to(self.device), positions.to(self.device), lengths.to(self.device)
        if nodes:
            ids[:, longest:] = tree.tokens
            positions = torch.cat([positions, start + lengths[:, None] + tree.depths], dim=1)
        mask = tree.mask(lengths, longest, self.model.dtype)
        return self.hidden(ids, attention_mask=mask, position_ids=positions), lengths

    def _check_attention(self) -> None:
        """Refuses an architecture with which our attention does not give about the same states as its own, and finds
        out whether states may be wider than weights."""
        rows = self.tokenizer.encode_rows([_SENTENCE])[0]
        shared = len(rows) // 2
        with torch.inference_mode():
            expected = self.hidden(torch.tensor([rows], device=self.device))[0, shared:].float()

            def agrees() -> bool:
                prefix = self.encode_prefix(rows[:shared])
                tree = TokenTree.of(None, self.device)
                with attention.after_prefix(prefix.layers), self.own_attention():
                    found = self.forward_with_tree([rows[shared:]], shared, tree)[0][0].float()
                likeness = torch.nn.functional.cosine_similarity(expected, found, dim=1).mean()
                return float(likeness) > _ALIKE

            if not agrees():
                raise ModelError(
                    f"{type(self.model).__name__} does not work with sparklabel's attention.",
                    hint="Use a model of the Llama, Mistral or Qwen families, or another engine.",
                )
            # On GPUs what it costs was not measured.
            if self.device.type == "cpu" and self.model.dtype.itemsize == 2:
                self._has_wide_stream = True
                try:
                    self._has_wide_stream = agrees()
                except (RuntimeError, TypeError):  # what is no linear layer takes one type only
                    self._has_wide_stream = False


def without_weights(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The model of a folder on torch's meta device, where weights take no memory. Raises ModelError."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"The model in {folder} does not load: {first_line(error)}") from None


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise SetupError(f"There is no device {device!r} here: {first_line(error)}") from None


def best_batch_tokens(device: torch.device) -> int:
    """The most tokens in one forward pass for scoring."""
    if device.type != "cpu":
        return _GPU_BATCH_TOKENS
    return _AMX_BATCH_TOKENS if torch.cpu._is_amx_tile_supported() else _CPU_BATCH_TOKENS


def default_device() -> torch.device:
    """A GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_dtype(device: str) -> torch.dtype:
    """What "auto" means: bfloat16 if the hardware computes faster in it, otherwise float16 on GPUs and float32 on
    CPUs."""
    if device.startswith("cuda"):
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    return torch.bfloat16 if machine.bfloat16_unit() else torch.float32


def _cast(model: Any, dtype: torch.dtype) -> Any:
    """Casts the weights but not the buffers: rotary frequencies in bfloat16 are wrong far into a text."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    return model


def _merged(model: Any, adapter: Path) -> Any:
    try:
        from peft import PeftModel
    except ImportError:
        raise ModelError("A fine-tuned model needs peft.", hint="pip install 'sparklabel[train]'") from None
    with quiet_peft():
        return PeftModel.from_pretrained(model, adapter).merge_and_unload()


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Inside, nobody is told that peft asks transformers for something by an old name: no user can change that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield
