"""Forward passes of a 16-bit model whose residual stream is kept in float32.

In: a model's forward pass. Out: hidden states in float32, as near to those of float32 weights as 16-bit matrix products
allow. The weights keep their type, and so do the products; what is added up from layer to layer is not rounded.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class WideStream(TorchFunctionMode):
    """Inside, embeddings are float32, and each linear layer takes its input in its weights' type.

    `exact`: linear layers compute in float32, too, with one matrix at a time in that type. That is for what is encoded
    once and read by many rows: its error is the same in all of their answers, and so moves all of them to one side.
    """

    def __init__(self, *, exact: bool = False) -> None:
        super().__init__()
        self._exact = exact
        self._last: tuple[Tensor, Tensor] | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is functional.embedding:
            return func(*args, **(kwargs or {})).float()
        if func is functional.linear:
            return self._linear(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if self._exact:
            return functional.linear(input.float(), weight.float(), None if bias is None else bias.float())
        return functional.linear(self._narrowed(input, weight.dtype), weight, bias)

    def _narrowed(self, states: Tensor, dtype: torch.dtype) -> Tensor:
        """The states in a type. Those that several layers in a row take, as queries, keys and values do, are rounded
        once."""
        if states.dtype is dtype:
            return states
        if self._last is None or self._last[0] is not states:
            self._last = states, states.to(dtype)
        return self._last[1]
