"""A decoder in two halves: the layers below some layer, and the layers from it on.

In: token ids, or the lower half's hidden states. Out: hidden states. It changes no weights.

Fine-tuning runs the frozen lower layers once and keeps their output; a linear probe needs nothing above its layer. The
model's own forward runs with its list of layers shortened, so positions, masks and scalings stay the architecture's.
`upper_half` compares with the whole forward; an architecture that gives something else is run whole.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparklabel.errors import ModelError
from sparklabel.language_model.model import LanguageModel

_PLAIN_LAYER = {"input_layernorm", "self_attn", "post_attention_layernorm", "mlp"}

UpperHalf = Callable[[Tensor, Tensor], Tensor]
"""(input [B, S, D] or token ids [B, S]; flat positions [P] in B x S) -> hidden states after the final norm [P, D]."""


@dataclass(frozen=True, slots=True)
class DecoderStack:
    """The module of a model that runs its decoder layers, and the name of its attribute with them."""

    body: Any
    name: str

    @classmethod
    def of(cls, model: nn.Module) -> "DecoderStack":
        """Finds the list of decoder layers by its length. Raises ModelError if there is none."""
        depth = decoder_depth(model)
        for path, module in model.named_modules():
            if isinstance(module, nn.ModuleList) and len(module) == depth:
                parent, _, name = path.rpartition(".")
                return cls(model.get_submodule(parent), name)
        raise ModelError(f"The decoder layers of {type(model).__name__} were not found.")

    @property
    def layers(self) -> nn.ModuleList:
        found: nn.ModuleList = getattr(self.body, self.name)
        return found

    @contextmanager
    def holding(self, layers: Sequence[nn.Module]) -> Iterator[None]:
        """Inside, the model has these layers only."""
        kept = self.layers
        setattr(self.body, self.name, nn.ModuleList(layers))
        try:
            yield
        finally:
            setattr(self.body, self.name, kept)

    def below(self, first: int, ids: Tensor) -> Tensor:
        """The input of layer number `first` for `ids` [B, S]: [B, S, D], before any norm."""
        if first == 0:
            embedded: Tensor = self.body.get_input_embeddings()(ids)
            return embedded
        lower = list(self.layers)[:first]
        caught: list[Any] = []
        hook = lower[-1].register_forward_hook(lambda module, given, made: caught.append(made))
        try:
            with self.holding(lower):
                self.body(input_ids=ids, use_cache=False)
        finally:
            hook.remove()
        states: Tensor = caught[0] if isinstance(caught[0], Tensor) else caught[0][0]
        return states

    def above(self, first: int, narrow: bool) -> UpperHalf:
        """A function that runs the layers from `first` on. `narrow`: the last layer computes only what the positions
        need."""

        def run(states: Tensor, positions: Tensor) -> Tensor:
            layers = list(self.layers)[first:]
            if narrow:
                layers[-1] = _NarrowLayer(layers[-1], positions)
            with self.holding(layers):
                made: Tensor = self.body(inputs_embeds=states, use_cache=False).last_hidden_state
            return made[0] if narrow else made.flatten(0, 1)[positions]

        return run


class _NarrowLayer(nn.Module):
    """A decoder layer whose output projection and MLP run at some positions only: [B, S, D] to [1, P, D]."""

    def __init__(self, layer: nn.Module, positions: Tensor) -> None:
        super().__init__()
        self.layer, self.positions = layer, positions

    def forward(self, states: Tensor, **inputs: Any) -> Tensor:
        layer: Any = self.layer
        hook = layer.self_attn.o_proj.register_forward_pre_hook(lambda module, given: (self._pick(given[0]),))
        try:
            mixed = layer.self_attn(hidden_states=layer.input_layernorm(states), **inputs)[0]
        finally:
            hook.remove()
        mixed = self._pick(states) + mixed
        made: Tensor = mixed + layer.mlp(layer.post_attention_layernorm(mixed))
        return made

    def _pick(self, states: Tensor) -> Tensor:
        return states.flatten(0, 1)[self.positions][None]


def decoder_depth(model: Any) -> int:
    """The number of the model's decoder layers."""
    return int(model.config.get_text_config().num_hidden_layers)


def layer_at(layers: int, depth: float) -> int:
    """How many of so many layers `depth`, a share of them in (0, 1], is: one at least."""
    return max(1, round(layers * depth))


def upper_half(language_model: LanguageModel, first: int, ids: Tensor) -> UpperHalf | None:
    """The fastest way to run the layers from `first` on that agrees with the whole model for `ids` [B, S].

    Call it inside the attention that will be used. Returns None if no way agrees: run the whole model then.
    """
    try:
        stack = DecoderStack.of(language_model.model)
    except ModelError:
        return None
    positions = torch.arange(ids.numel(), device=ids.device)[1::2]
    plain = {name for name, _ in stack.layers[-1].named_children()} == _PLAIN_LAYER
    with torch.no_grad():
        whole = language_model.hidden(ids).flatten(0, 1)[positions].float()
        for narrow in (True, False) if plain and hasattr(stack.layers[-1].self_attn, "o_proj") else (False,):
            half = stack.above(first, narrow)
            try:
                found = half(stack.below(first, ids), positions).float()
            except (TypeError, ValueError, IndexError, AttributeError, RuntimeError):
                continue  # an architecture that needs all its layers
            if found.shape == whole.shape and (found - whole).norm() <= 0.02 * whole.norm():
                return half
    return None


def hidden_features(
    language_model: LanguageModel, rows: Sequence[Sequence[int]], layer: int
) -> NDArray[np.float32]:
    """Features for a linear probe, from the output of the first `layer` decoder layers.

    Args:
        language_model: the model to read.
        rows: token ids, at least one a row.
        layer: how many layers to run.

    Returns:
        [N, 2 D] for N rows: the mean over a row's tokens, then its last token.
    """
    stack = DecoderStack.of(language_model.model)
    features = np.zeros((len(rows), 2 * stack.body.get_input_embeddings().weight.shape[1]), dtype=np.float32)

    def read(batch: list[int]) -> None:
        ids, lengths = padded([rows[i] for i in batch], language_model.device)
        states = stack.below(layer, ids).float()
        inside = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        mean = (states * inside[..., None]).sum(1) / lengths[:, None]
        last = states[torch.arange(len(batch), device=ids.device), lengths - 1]
        features[batch] = torch.cat([mean, last], dim=1).cpu().numpy()

    with torch.inference_mode(), language_model.own_attention():
        language_model.in_batches([len(row) for row in rows], 0, read)
    return features


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [B, S], padded on the right with 0, and the rows' lengths [B]."""
    ids = nn.utils.rnn.pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True)
    return ids.to(device), torch.tensor([len(row) for row in rows], device=device)
