"""The options of each engine, as one validated record an engine.

In: what a user wrote, as keywords or as such a record. Out: a frozen record, whose given options an `EngineSpec`
carries. Importing this costs pydantic alone: nothing is loaded, and using the options is the engines' own matter.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sparklabel.arguments import unknown_name
from sparklabel.engines.openai.address import endpoint_here, is_endpoint, is_variable
from sparklabel.errors import SetupError


@dataclass(frozen=True, slots=True)
class Takes:
    """What an option takes, in words. A `private` value that is refused is not shown: it may be a key."""

    words: str
    private: bool = False


class EngineOptions(BaseModel):
    """What the options of all engines have in common.

    Only options that were given travel to the workers; None means "not given". Values are texts, numbers and booleans,
    because a specification is a key of the caches that hold loaded models.

    Raises:
        SetupError: An option is unknown, or its value is not one that the option takes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    engine: ClassVar[str]

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
        else:
            return
        # Raised here and not above, where the values would still hang on the error as its context.
        raise _refusal(type(self), str(problem["loc"][0]), problem["type"], options)

    @model_validator(mode="after")
    def _a_shared_engine_names_no_devices(self) -> "EngineOptions":
        if self.given.get("shared") and (named := names_devices(self.given)):
            raise SetupError(
                f"A shared engine computes on the GPU of its tasks, and {named} names others.",
                hint=f"Leave out {named}, or shared=True.",
            )
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given, by name."""
        return {
            name: value
            for name in type(self).model_fields
            if name in self.model_fields_set and (value := getattr(self, name)) is not None
        }


def shown_option(name: str, value: Any) -> str:
    """An option's value, as logs, MLflow and reports may show it. A JSON object may hold keys and passwords: it is told
    from another by its hash."""
    if name in ("engine_kwargs", "extra_body"):
        return f"<sha256:{hashlib.sha256(str(value).encode()).hexdigest()[:8]}>"
    return repr(value)


def _refusal(kind: type[EngineOptions], name: str, why: str, options: Mapping[str, Any]) -> SetupError:
    if why == "extra_forbidden":
        return unknown_name(f"The {kind.engine} engine", "option", name, kind.model_fields)
    takes = next(one for one in kind.model_fields[name].metadata if isinstance(one, Takes))
    shown = "..." if takes.private else repr(options.get(name))
    return SetupError(
        f"The {kind.engine} engine cannot use {name}={shown}.", hint=f"{name} takes {takes.words}."
    )


def names_devices(options: Mapping[str, Any]) -> str:
    """The option that says on which devices an engine computes, or an empty string. A shared engine has one GPU: that
    of its tasks."""
    if "device" in options:
        return "device"
    given = json.loads(options.get("engine_kwargs", "{}"))
    parallel = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    return next((name for name in parallel if given.get(name, 1) != 1), "")


def _only(fits: Callable[[Any], bool]) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value is not None and not fits(value):
            raise ValueError
        return value

    return BeforeValidator(check)


def _is_json_object(value: Any) -> bool:
    try:
        return isinstance(value, str) and isinstance(json.loads(value), dict)
    except ValueError:
        return False


_DTYPE = Takes("one of: auto, float32, bfloat16, float16")
_Dtype = Annotated[Literal["auto", "float32", "bfloat16", "float16"], _DTYPE]
_Device = Annotated[str | None, Field(min_length=1), Takes("a torch device's name, such as cpu or cuda:0")]
_Count = Annotated[int | None, Field(gt=0), Takes("a whole number above 0")]
_Shared = Annotated[bool | None, Takes("True or False")]
_Json = Annotated[
    str, _only(_is_json_object), Takes("a JSON object as text, such as '{\"enforce_eager\": true}'")
]


class TransformersOptions(EngineOptions):
    """Options of the transformers engine: one model in each Python worker, on CPU or GPU.

    Attributes:
        dtype: The type of the weights. "auto" is bfloat16 if the device computes in it; otherwise float16 on GPUs and
            float32 on CPUs.
        device: A torch device. By default the GPU of the Spark task, or the CPU.
        batch_tokens: Tokens in one forward pass. By default as many as suit the device.
        threads: Torch's CPU threads. By default the cores of the Spark task.
        pruned_mass: How much of a row's probability, of all labels together, need not be computed: 0.001 by default; 0
            computes all of it. Only a classification with many labels, and whose prior is not corrected, leaves any
            out.
        shared: Whether one process serves all tasks of a GPU (or of a machine without one). By default on GPUs only.

    Raises:
        SetupError: An option is unknown, or its value is not one that the option takes.

    Example:
        >>> TransformersOptions(dtype="bfloat16", batch_tokens=4096).given
        {'dtype': 'bfloat16', 'batch_tokens': 4096}
    """

    engine: ClassVar[str] = "transformers"

    dtype: _Dtype = "auto"
    device: _Device = None
    batch_tokens: _Count = None
    threads: _Count = None
    pruned_mass: Annotated[
        float | None,
        _only(lambda value: type(value) in (int, float) and 0 <= value < 0.5),
        Takes("a number from 0 to below 0.5, such as 0.001"),
    ] = None
    shared: _Shared = None


class VllmOptions(EngineOptions):
    """Options of the vLLM engine.

    Attributes:
        dtype: The type of the weights. "auto" is bfloat16 if the device computes in it; otherwise float16 on GPUs and
            float32 on CPUs.
        max_model_len: The longest prompt with its answer, in tokens. By default the model's context.
        gpu_memory_utilization: vLLM's share of the GPU's memory, in (0, 1].
        kv_cache_gib: GiB for keys and values, instead of that share. On CPUs 2 by default.
        threads: Torch's CPU threads. By default the cores of the Spark task.
        max_lora_rank: Adapters up to this rank can be put beside the base, several at once. vLLM takes 8, 16, 32, 64,
            128, 256, 320 or 512.
        engine_kwargs: Further arguments of `vllm.LLM`, as a JSON object. They win over all others.
        shared: Whether one process serves all tasks of a GPU (or of a machine without one). By default on GPUs only.

    Raises:
        SetupError: An option is unknown, or its value is not one that the option takes.

    Example:
        >>> VllmOptions(max_model_len=4096, engine_kwargs='{"enforce_eager": true}').max_model_len
        4096
    """

    engine: ClassVar[str] = "vllm"

    dtype: _Dtype = "auto"
    max_model_len: _Count = None
    gpu_memory_utilization: Annotated[
        float | None,
        _only(lambda value: isinstance(value, float) and 0 < value <= 1),
        Takes("a number between 0 and 1, such as 0.9"),
    ] = None
    kv_cache_gib: _Count = None
    threads: _Count = None
    max_lora_rank: _Count = None
    engine_kwargs: _Json = "{}"
    shared: _Shared = None


class OpenAIOptions(EngineOptions):
    """Options of the openai engine: any HTTP endpoint that speaks OpenAI's chat completions.

    Attributes:
        base_url: The endpoint's address, mostly ending in /v1. By default the driver's OPENAI_BASE_URL, or OpenAI's.
        api_key_env: The name of the environment variable that holds the key, on the driver and on every executor. By
            default OPENAI_API_KEY for OpenAI's own address, and no key for others.
        concurrency: Requests that one Python worker has under way at once.
        timeout: Seconds to wait for an answer.
        max_retries: How often a request that failed is sent again.
        context: The longest prompt, in characters.
        structured: How the endpoint is told the form of an answer: "json_schema" (response_format) or "vllm"
            (structured_outputs).
        extra_body: Further fields of each request, as a JSON object.

    Raises:
        SetupError: An option is unknown, or its value is not one that the option takes.

    Example:
        >>> OpenAIOptions(base_url="http://models.internal:8000/v1", concurrency=32).given["concurrency"]
        32
    """

    engine: ClassVar[str] = "openai"

    base_url: Annotated[
        str, _only(is_endpoint), Takes("an http(s) address without user, password or query", private=True)
    ] = Field(default_factory=endpoint_here, validate_default=True)
    api_key_env: Annotated[
        str | None, _only(is_variable), Takes("the name of an environment variable", private=True)
    ] = None
    concurrency: Annotated[int, Field(gt=0), Takes("a whole number above 0")] = 16
    timeout: Annotated[
        int | float,
        _only(lambda value: type(value) in (int, float) and 0 < value < float("inf")),
        Takes("a number of seconds above 0"),
    ] = 60
    max_retries: Annotated[int, Field(ge=0), Takes("a whole number from 0")] = 5
    context: Annotated[int, Field(gt=0), Takes("a whole number above 0")] = 100_000
    structured: Annotated[Literal["json_schema", "vllm"], Takes("one of: json_schema, vllm")] = "json_schema"
    extra_body: _Json = "{}"

    @property
    def given(self) -> dict[str, Any]:
        """With the address that holds on the driver now: workers have environments of their own."""
        return {"base_url": self.base_url} | super().given


class EncoderOptions(EngineOptions):
    """Options of the encoder engine, which versions without a language model have: a classifier over sentence vectors.

    Attributes:
        threads: Torch's CPU threads. By default the cores of the Spark task.

    Raises:
        SetupError: An option is unknown, or its value is not one that the option takes.
    """

    engine: ClassVar[str] = "encoder"

    threads: _Count = None


class FakeOptions(EngineOptions):
    """Options of the fake engine, which answers by rule and without a model.

    Attributes:
        fail_on: A batch with a row that holds this text fails.
        die_on: A batch with a row that holds this text kills the process that computes it.
        shared: Whether one process serves all tasks of a machine.

    Raises:
        SetupError: An option is unknown, or its value is not one that the option takes.
    """

    engine: ClassVar[str] = "fake"

    fail_on: Annotated[str | None, Field(min_length=1), Takes("a text")] = None
    die_on: Annotated[str | None, Field(min_length=1), Takes("a text")] = None
    shared: _Shared = None
