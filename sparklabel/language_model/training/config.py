"""The settings of a training run.

In: keywords. Out: a checked, frozen record that travels to other processes. It imports no torch and trains nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictBool,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from sparklabel.arguments import did_you_mean
from sparklabel.errors import SetupError

LORA: Final = "lora"
ALL: Final = "all"
"""What `parameters` may be."""
_FEW_CHOICES = 10
_FEW_EPOCHS, _EPOCHS, _MAX_EPOCHS = 3, 4, 12
_RATES = {LORA: 1e-3, ALL: 5e-5}
_BATCH, _MIXTURE_STEPS = 16, 100
"""In a step at most, and the steps that an instruction tuning should have: in two it learned nothing."""
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
    """How to fine-tune. The defaults suit small models; benchmarks/LOG.md says what was measured.

    Matrices compute in the loaded model's own type; what is trained is always updated in float32.

    Args:
        parameters: "lora": adapters beside frozen weights. "all": every weight, only for `instruction_tune`; it takes
            16 bytes of memory a weight, and more for what computes with them.
        top_layers: How many of the last decoder layers get adapters, at least 1. None chooses a third of them for up to
            ten choices, and two thirds for more choices or written answers; for an instruction tuning all of them.
        target_modules: Names of the linear modules to adapt, at least one. Names that the model lacks are ignored; if
            it has none of them, all its linear modules are adapted.
        rank: LoRA's rank, at least 1.
        lora_alpha: LoRA's scale, above 0: updates are multiplied by `lora_alpha / rank`.
        epochs: How often each example is seen, at least 1. None chooses 3 for up to ten choices, otherwise 4, or up
            to 12 until there are 400 steps; for an instruction tuning 1.
        batch_size: Examples in one optimizer step, at least 1; of an instruction tuning packs of `max_tokens`. None
            chooses 16; for an instruction tuning as many fewer as there have to be for 100 steps.
        learning_rate: The peak, above 0. It rises linearly during the warm-up, then falls to 0 as a cosine. None
            chooses 1e-3 for adapters, and 5e-5 for all weights.
        warmup_ratio: The warm-up's share of all steps, from 0 to 1.
        weight_decay: AdamW's, at least 0.
        max_grad_norm: Gradients are scaled down to this norm, above 0.
        seed: Of initialization and order, at least 0. The same seed, examples and machine give the same adapter.
        max_tokens: The longest prompt to learn from, in tokens, at least 1; longer ones are truncated. Attention's
            memory grows with its square. Of an instruction tuning it is the size of a pack, which is never above the
            base's context.
        cache_bytes: Memory for what the frozen layers compute, in bytes, at least 0. Sequences that do not fit are
            computed again in each epoch.
        shard: Whether the weights are divided among the processes of an instruction tuning (torch FSDP2), so that a
            model that does not fit one device can be trained. None: with `parameters="all"` and several processes, and
            for adapters where the base takes more than 60% of a device.
        microbatch_tokens: The most tokens that pass through the model at once in an instruction tuning; a step adds up
            as many of them as it needs. None: what memory holds.
        activation_checkpointing: Compute activations again for the gradients, which saves memory and takes a third more
            time. None: where memory needs it.

    Raises:
        SetupError: if a field is unknown or its value is out of range.

    Example:
        >>> from sparklabel import TrainingConfig
        >>> TrainingConfig(epochs=2, learning_rate=5e-4).rank
        16
    """

    parameters: Literal["lora", "all"] = LORA
    top_layers: _Count | None = None
    target_modules: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj",
    )  # fmt: skip
    rank: _Count = 16
    lora_alpha: _Positive = 32.0
    epochs: _Count | None = None
    batch_size: _Count | None = None
    learning_rate: _Positive | None = None
    warmup_ratio: Annotated[_Float, Field(ge=0, le=1)] = 0.1
    weight_decay: Annotated[_Float, Field(ge=0)] = 0.01
    max_grad_norm: _Positive = 1.0
    seed: Annotated[_Integer, Field(ge=0, lt=2**63)] = 0
    max_tokens: _Count = 1024
    cache_bytes: Annotated[_Integer, Field(ge=0)] = 2 * 2**30
    shard: StrictBool | None = None
    microbatch_tokens: _Count | None = None
    activation_checkpointing: StrictBool | None = None

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
        batch = self.batch_size or _BATCH
        wanted = math.ceil(_STEPS * batch / max(examples, 1))
        epochs = _FEW_EPOCHS if few else min(max(_EPOCHS, wanted), _MAX_EPOCHS)
        return self._completed(min(max(top, 1), depth), self.epochs or epochs, batch)

    def chosen_for_mixture(self, depth: int, packs: int) -> "TrainingConfig":
        """The same for an instruction tuning of a model with `depth` decoder layers on so many packs."""
        epochs = self.epochs or 1
        batch = self.batch_size or min(_BATCH, max(1, packs * epochs // _MIXTURE_STEPS))
        return self._completed(min(self.top_layers or depth, depth), epochs, batch)

    def _completed(self, top_layers: int, epochs: int, batch_size: int) -> "TrainingConfig":
        rate = self.learning_rate or _RATES[self.parameters]
        return replace(self, top_layers=top_layers, epochs=epochs, learning_rate=rate, batch_size=batch_size)

    def adapted_layers(self, depth: int) -> range:
        """The numbers of the layers that get adapters, in a model with `depth` of them."""
        return range(depth - (self.top_layers or depth), depth)

    def changed(self, *names: str) -> list[str]:
        """Those of these settings that are not as they are by default."""
        usual = TrainingConfig()
        return [name for name in names if getattr(self, name) != getattr(usual, name)]

    @property
    def epoch_count(self) -> int:
        """How often each example is seen, of a config that was chosen."""
        assert self.epochs is not None, "chosen"
        return self.epochs

    @property
    def step_size(self) -> int:
        """Examples or packs in one optimizer step, of a config that was chosen."""
        assert self.batch_size is not None, "chosen"
        return self.batch_size

    @property
    def peak(self) -> float:
        """The learning rate, of a config that was chosen."""
        assert self.learning_rate is not None, "chosen"
        return self.learning_rate


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
