"""A loaded causal language model that reads next-token scores behind a shared prefix.

In: token ids. Out: float32 arrays; answers are written in generation.py. The prefix is encoded once; rows are sorted
by length into batches of about equal token counts, a token tree behind each row is evaluated in the same forward pass,
and only the rows of the output matrix that are asked for are multiplied.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparklabel.errors import ModelError, SetupError
from sparklabel.label_trie import PROMPT, LabelTrie
from sparklabel.language_model.attention import prefix as attention
from sparklabel.language_model.memory_limits import free_device_memory, keep_freed_memory, runs_within_memory
from sparklabel.language_model.output_heads import OptionHead
from sparklabel.language_model.tokenizer import ModelTokenizer

_CPU_BATCH_TOKENS, _AMX_BATCH_TOKENS, _GPU_BATCH_TOKENS = 1024, 1536, 32768
"""What was measured of others is in benchmarks/LOG.md."""
_SENTENCE = "The customer writes that the parcel came two days late, and asks for the money back."
"""What attention is checked on. Ordinary words: special tokens that a model was never trained on have states that
bfloat16 rounds to anything, another on each kind of CPU."""
_KEPT_PER_BATCH_TOKEN = 8
"""A token's keys and values take far less memory than its pass through the model."""


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """The encoded beginning that all prompts of a task share."""

    ids: tuple[int, ...]
    layers: attention.LayerCache


class LanguageModel:
    """A causal LM on one device. Not safe for two threads at once; load one per process or GPU.

    `batch_tokens` is how many tokens go through the model at once, `kept_tokens` how many are kept of the rows that
    are generated at once; both become smaller where memory runs out.
    """

    def __init__(self, model: Any, tokenizer: ModelTokenizer, batch_tokens: int | None = None) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.device = next(model.parameters()).device
        self.batch_tokens = batch_tokens or _best_batch_tokens(self.device)
        self.kept_tokens = self.batch_tokens * _KEPT_PER_BATCH_TOKEN
        self._stock_attention = model.config._attn_implementation
        self._worn: Mapping[str, Tensor] = {}
        self._covered: dict[str, Tensor] = {}
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
    ) -> "LanguageModel":
        """Reads a model folder, and merges a LoRA adapter (PEFT layout) into it. `dtype` is a torch dtype's name, or
        "auto": bfloat16 where the hardware computes in it, else float32. Raises ModelError."""
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        _check_device(device)
        if device == "cpu":
            keep_freed_memory()
        # An adapter is merged in float32: its updates are below bfloat16's resolution of many weights.
        target = best_dtype(device) if dtype == "auto" else getattr(torch, dtype)
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32 if adapter else target,
                use_safetensors=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelError(f"The model in {folder} does not load: {str(error).splitlines()[0]}") from None
        if adapter is not None:
            model = _merged(model, adapter)
        return cls(_cast(model.to(device), target), ModelTokenizer.load(folder), batch_tokens)

    def base_weights(self) -> dict[str, Tensor]:
        """Those that it was loaded with, by name."""
        return {name: p.data for name, p in self.model.named_parameters()} | self._covered

    def set_active_adapter(self, weights: Mapping[str, Tensor]) -> None:
        """Puts these weights in place of its own, until others are put on; with none it is itself again."""
        if weights is self._worn:
            return
        parameters = dict(self.model.named_parameters())
        for name, own in self._covered.items():
            parameters[name].data = own
        self._covered = {name: parameters[name].data for name in weights}
        for name, tensor in weights.items():
            parameters[name].data = tensor
        self._worn = weights

    def encode_prefix(self, ids: Sequence[int]) -> SharedPrefix:
        """Runs the shared prefix once. It may be empty."""
        layers: attention.LayerCache = {}
        if ids:
            with torch.inference_mode(), attention.capturing(layers), self.own_attention():
                self.hidden(torch.tensor([ids], device=self.device))
        return SharedPrefix(tuple(ids), layers)

    def option_logits(
        self, prefix: SharedPrefix, rows: Sequence[Sequence[int]], trie: LabelTrie
    ) -> NDArray[np.float32]:
        """The logits of the trie's O options for N rows: [N, O]. Rows are what follows the prefix, never empty."""
        out = np.zeros((len(rows), len(trie.option_tokens)), dtype=np.float32)
        if not trie.option_tokens:
            return out
        tree = _Tree.of(trie, self.device)
        head = OptionHead(self.model, self.tokenizer.stop_ids, trie.option_tokens)
        positions = (
            torch.tensor(trie.option_places, device=self.device) + 1
        )  # the prompt's last token is the first place
        columns = torch.tensor([head.column[token] for token in trie.option_tokens], device=self.device)

        def score(batch: list[int]) -> None:
            hidden, ends = self._forward([rows[i] for i in batch], len(prefix.ids), tree)
            out[batch] = head(tree.positions(hidden, ends))[:, positions, columns].cpu().numpy()

        with torch.inference_mode(), attention.behind(prefix.layers), self.own_attention():
            self._in_batches([len(row) for row in rows], len(tree.tokens), score)
        return out

    def _in_batches(self, lengths: Sequence[int], extra: int, work: Callable[[list[int]], None]) -> None:
        """Works through all indices; a batch that memory does not hold is halved, and so are those to come."""
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
        """So many tokens at once did not fit into memory: from now on it is half of them at most."""
        self.batch_tokens = max(1, min(self.batch_tokens, tokens) // 2)
        free_device_memory()

    def lower_kept_tokens(self, tokens: int) -> None:
        """The same for tokens that were kept."""
        self.kept_tokens = max(1, min(self.kept_tokens, tokens) // 2)
        free_device_memory()

    def hidden(self, ids: Tensor, **inputs: Any) -> Tensor:
        """The last hidden states [B, S, D], after the final norm, without the output matrix."""
        states: Tensor = self.model.base_model(input_ids=ids, use_cache=False, **inputs).last_hidden_state
        return states

    @contextmanager
    def own_attention(self) -> Iterator[None]:
        """Inside, the model uses sparklabel's attention; outside, transformers' own."""
        self.model.set_attn_implementation(attention.NAME)
        try:
            yield
        finally:
            self.model.set_attn_implementation(self._stock_attention)

    def _forward(self, rows: list[Sequence[int]], start: int, tree: "_Tree") -> tuple[Tensor, Tensor]:
        """Hidden states of the batch, rows padded on the right and the tree behind; and each row's length."""
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
        """A model whose architecture does not take our attention, or reads it otherwise, is refused at once."""
        rows = self.tokenizer.encode_rows([_SENTENCE])[0]
        shared = len(rows) // 2
        with torch.inference_mode():
            expected = self.hidden(torch.tensor([rows], device=self.device))[0, shared:].float()
            prefix = self.encode_prefix(rows[:shared])
            tree = _Tree.of(None, self.device)
            with attention.behind(prefix.layers), self.own_attention():
                found = self._forward([rows[shared:]], shared, tree)[0][0].float()
        if not torch.nn.functional.cosine_similarity(expected, found, dim=1).mean() > 0.98:
            raise ModelError(
                f"{type(self.model).__name__} does not work with sparklabel's attention.",
                hint="Use a model of the Llama, Mistral or Qwen families, or another engine.",
            )


@dataclass(frozen=True, slots=True)
class _Tree:
    """A trie's tokens as tensors: `sees[T, T]` is true where a node may look at another (its ancestors, itself)."""

    tokens: Tensor
    depths: Tensor
    sees: Tensor

    @classmethod
    def of(cls, trie: LabelTrie | None, device: torch.device) -> "_Tree":
        tokens, parents = (trie.tree_tokens, trie.tree_parents) if trie else ((), ())
        sees, depths = torch.eye(len(tokens), dtype=torch.bool), torch.zeros(len(tokens), dtype=torch.long)
        for node, parent in enumerate(parents):
            if parent != PROMPT:
                sees[node] |= sees[parent]
                depths[node] = depths[parent] + 1
        return cls(torch.tensor(tokens, dtype=torch.long, device=device), depths.to(device), sees.to(device))

    def positions(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Of hidden states [B, S + T, D], those that options are read from: each row's last token, then the nodes."""
        at_end = hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1][:, None]
        return torch.cat([at_end, hidden[:, hidden.shape[1] - len(self.tokens) :]], dim=1)

    def mask(self, lengths: Tensor, longest: int, dtype: torch.dtype) -> Tensor:
        """Additive [B or 1, 1, S + T, S + T]: rows are causal; nodes see their row (not its padding) and ancestors."""
        nodes, device = len(self.tokens), self.tokens.device
        if not nodes:
            return attention.causal_mask(longest, dtype, device)
        visible = torch.zeros(len(lengths), longest + nodes, longest + nodes, dtype=torch.bool, device=device)
        visible[:, :longest, :longest] = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
        visible[:, longest:, :longest] = torch.arange(longest, device=device) < lengths[:, None, None]
        visible[:, longest:, longest:] = self.sees
        return torch.zeros(visible.shape, dtype=dtype, device=device).masked_fill_(~visible, float("-inf"))[
            :, None
        ]


def length_sorted_batches(lengths: Sequence[int], extra: int, batch_tokens: int) -> list[list[int]]:
    """Indices in batches of similar lengths, longest first, each of about `batch_tokens` tokens with its padding."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and (len(batches[-1]) + 1) * (lengths[batches[-1][0]] + extra) <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        raise SetupError(f"There is no device {device!r} here: {str(error).splitlines()[0]}") from None


def _best_batch_tokens(device: torch.device) -> int:
    if device.type != "cpu":
        return _GPU_BATCH_TOKENS
    return _AMX_BATCH_TOKENS if torch.cpu._is_amx_tile_supported() else _CPU_BATCH_TOKENS


def best_dtype(device: str) -> torch.dtype:
    """What "auto" comes to: bfloat16 where the hardware computes in it."""
    if device.startswith("cuda"):
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    return (
        torch.bfloat16
        if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        else torch.float32
    )


def _cast(model: Any, dtype: torch.dtype) -> Any:
    """Casts the weights alone: rounded to bfloat16, the buffers with rotary frequencies are wrong far into a text."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    return model


def _merged(model: Any, adapter: Path) -> Any:
    try:
        from peft import PeftModel
    except ImportError:
        raise ModelError("A fine-tuned model needs peft.", hint="pip install 'sparklabel[train]'") from None
    return PeftModel.from_pretrained(model, adapter).merge_and_unload()
