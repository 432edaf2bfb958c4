"""The settings of a training run.

In: keywords. Out: a checked, frozen record that travels to other processes. It imports no torch and trains nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from sparklabel.arguments import did_you_mean
from sparklabel.errors import SetupError

_FEW_CHOICES = 10
_FEW_EPOCHS, _EPOCHS, _MAX_EPOCHS = 3, 4, 12
_STEPS = 400
"""Many choices want at least this many steps: with 650 answers to 77 labels, 10 epochs gave 65%, 4 gave 56%."""


def _number(value: Any) -> Any:
    """Neither True nor "1" is meant as a number; NumPy's integers are."""
    if isinstance(value, bool | str | bytes):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


_Integer = Annotated[int, BeforeValidator(_number)]
_Float = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
_Count = Annotated[_Integer, Field(ge=1, lt=2**31)]
_Positive = Annotated[_Float, Field(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrainingConfig:
    """How to fine-tune with LoRA. The defaults suit small models; benchmarks/LOG.md says what was measured.

    Matrices compute in the loaded model's own type; adapters are always updated in float32.

    Args:
        top_layers: How many of the last decoder layers get adapters, at least 1. None chooses a third of them for up to
            ten choices, and two thirds for more choices or written answers.
        target_modules: Names of the linear modules to adapt, at least one. Names that the model lacks are ignored; if
            it has none of them, all its linear modules are adapted.
        rank: LoRA's rank, at least 1.
        lora_alpha: LoRA's scale, above 0: updates are multiplied by `lora_alpha / rank`.
        epochs: How often each example is seen, at least 1. None chooses 3 for up to ten choices, otherwise 4, or up
            to 12 until there are 400 steps.
        batch_size: Examples in one optimizer step, at least 1.
        learning_rate: The peak, above 0. It rises linearly during the warm-up, then falls to 0 as a cosine.
        warmup_ratio: The warm-up's share of all steps, from 0 to 1.
        weight_decay: AdamW's, at least 0.
        max_grad_norm: Gradients are scaled down to this norm, above 0.
        seed: Of initialization and order, at least 0. The same seed, examples and machine give the same adapter.
        max_tokens: The longest prompt to learn from, in tokens, at least 1; longer ones are truncated. Attention's
            memory grows with its square.
        cache_bytes: Memory for what the frozen layers compute, in bytes, at least 0. Sequences that do not fit are
            computed again in each epoch.

    Raises:
        SetupError: if a field is unknown or its value is out of range.

    Example:
        >>> from sparklabel import TrainingConfig
        >>> TrainingConfig(epochs=2, learning_rate=5e-4).rank
        16
    """

    top_layers: _Count | None = None
    target_modules: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj",
    )  # fmt: skip
    rank: _Count = 16
    lora_alpha: _Positive = 32.0
    epochs: _Count | None = None
    batch_size: _Count = 16
    learning_rate: _Positive = 1e-3
    warmup_ratio: Annotated[_Float, Field(ge=0, le=1)] = 0.1
    weight_decay: Annotated[_Float, Field(ge=0)] = 0.01
    max_grad_norm: _Positive = 1.0
    seed: Annotated[_Integer, Field(ge=0, lt=2**63)] = 0
    max_tokens: _Count = 1024
    cache_bytes: Annotated[_Integer, Field(ge=0)] = 2 * 2**30

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, given: Any, handler: ModelWrapValidatorHandler["TrainingConfig"]) -> "TrainingConfig":
        try:
            return handler(given)
        except ValidationError as error:
            raise SetupError(" ".join(_problem(dict(problem)) for problem in error.errors())) from None

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "TrainingConfig":
        """What `asdict` gave, read back from JSON."""
        return cls(**dict(found) | {"target_modules": tuple(found["target_modules"])})

    def chosen_for(self, depth: int, choices: int | None, examples: int) -> "TrainingConfig":
        """The same settings with a number in place of each None.

        Args:
            depth: decoder layers of the model.
            choices: how many choices the task has; None if its answers are written.
            examples: how many examples are trained on.
        """
        few = choices is not None and choices <= _FEW_CHOICES
        top = self.top_layers or round(depth / 3 if few else depth * 2 / 3)
        wanted = math.ceil(_STEPS * self.batch_size / max(examples, 1))
        epochs = _FEW_EPOCHS if few else min(max(_EPOCHS, wanted), _MAX_EPOCHS)
        return replace(self, top_layers=min(max(top, 1), depth), epochs=self.epochs or epochs)


def _problem(problem: dict[str, Any]) -> str:
    """One sentence on one of pydantic's errors."""
    name = str(problem["loc"][0])
    known = [field.name for field in fields(TrainingConfig)]
    if problem["type"] == "unexpected_positional_argument":
        return "TrainingConfig takes keywords only."
    if name not in known:
        nearest = did_you_mean(name, known)
        return f"TrainingConfig has no field {name!r}" + (nearest or f"; it has {', '.join(known)}.")
    message = problem["msg"]
    return f"TrainingConfig: {name}={problem['input']!r} is not valid; {message[0].lower()}{message[1:]}."
