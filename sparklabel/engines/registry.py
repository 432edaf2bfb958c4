"""Which engine, with which options: what travels to workers, and how it becomes an engine there."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparklabel.engines.base import Engine
from sparklabel.engines.fake import ByteTokenizer, FakeEngine
from sparklabel.engines.openai import options as openai_options
from sparklabel.engines.openai.choice_logprobs import check_one_question
from sparklabel.engines.openai.text_tokenizer import TextTokenizer
from sparklabel.errors import SetupError
from sparklabel.label_trie import LabelTrie
from sparklabel.prompts import Tokenizer


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine, and its options (sorted pairs, so that equal specs are equal). Picklable; printed in plans.

    `shared`: one process serves all tasks of a GPU or, without GPUs, of a machine (True), each Python worker has an
    engine of its own (False), or the default, which depends on whether there is a GPU (None).
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    shared: bool | None = None

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.options)})"

    def is_shared(self, *, on_gpu: bool) -> bool:
        """Whether tasks share one engine. Unasked: on a GPU, which should hold a model once, unless devices are named.
        Without a GPU each worker has its own: on two cores a shared one took 1.4 times as long (benchmarks/LOG.md)."""
        if not self.kind.holds_model:
            return False
        if self.shared is None:
            return on_gpu and self.kind.needs_files and not names_devices(dict(self.options))
        return self.shared

    @property
    def kind(self) -> "EngineInfo":
        return ENGINES[self.name]


@dataclass(frozen=True, slots=True)
class Option:
    """What an option takes: `fits` tells whether a value does (it must be hashable: specs are keys of the caches that
    hold loaded models), `takes` says it in words. A `private` value that does not fit is not shown: it may be a key."""

    fits: Callable[[Any], bool]
    takes: str
    private: bool = False


Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NamedModels:
    """Models that are names only, without files here: `identity` is what labels say of one, given the options;
    `tokenizer` makes prompts for it."""

    identity: Callable[[str, Options], str]
    tokenizer: Callable[[Options], Tokenizer]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """An engine as this module knows it. `open` takes the model's identity, its files, and the options.

    `named`: any text names a model; otherwise a model is one that can be resolved and fetched. `task_threads`: it
    computes in the Spark task, and takes the threads of its slot as the option `threads`. `pinned` completes the
    options with what the driver's environment says. `check` raises TaskError for choices that it cannot score.
    `concurrent`: it may be called by several threads at once. `fills_gpu`: it takes most of a GPU's memory, whatever
    its model needs. `holds_model`: it holds a model that tasks can share; `when_shared` are options that hold then,
    unless others were given.
    """

    options: Mapping[str, Option]
    open: Callable[..., Engine]
    named: NamedModels | None = None
    task_threads: bool = False
    pinned: Callable[[Options], Options] = dict
    check: Callable[[LabelTrie], None] = lambda trie: None
    concurrent: bool = False
    fills_gpu: bool = False
    holds_model: bool = True
    when_shared: Options = field(default_factory=dict)

    @property
    def needs_files(self) -> bool:
        return self.named is None


def _open_fake(model: str, base: Path | None, adapter: Path | None, **options: Any) -> Engine:
    return FakeEngine(model, **options)


def _open_transformers(model: str, base: Path, adapter: Path | None, **options: Any) -> Engine:
    from sparklabel.engines.transformers import TransformersEngine

    return TransformersEngine.load(base, adapter, **options)


def _open_vllm(model: str, base: Path, adapter: Path | None, **options: Any) -> Engine:
    from sparklabel.engines.vllm.engine import VllmEngine

    return VllmEngine.load(base, adapter, **options)


def _open_openai(model: str, base: Path | None, adapter: Path | None, **options: Any) -> Engine:
    from sparklabel.engines.openai.engine import OpenAIEngine

    return OpenAIEngine(openai_options.model_of(model), **options)


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 < value <= 1


def _is_json_object(value: Any) -> bool:
    try:
        return isinstance(value, str) and isinstance(json.loads(value), dict)
    except ValueError:
        return False


_DTYPES = ("auto", "float32", "bfloat16", "float16")
_TEXT = Option(lambda value: isinstance(value, str) and bool(value), "a text")
_DTYPE = Option(lambda value: isinstance(value, str) and value in _DTYPES, f"one of: {', '.join(_DTYPES)}")
_DEVICE = Option(_TEXT.fits, "a torch device's name, such as cpu or cuda:0")
_COUNT = Option(lambda value: type(value) is int and value > 0, "a whole number above 0")
_SHARE = Option(_is_share, "a number between 0 and 1, such as 0.9")
_JSON = Option(_is_json_object, "a JSON object as a text, such as '{\"enforce_eager\": true}'")
_ENDPOINT = Option(
    openai_options.is_endpoint, "an http(s) address without user, password or query", private=True
)
_VARIABLE = Option(openai_options.is_variable, "the name of an environment variable", private=True)
_RETRIES = Option(lambda value: type(value) is int and value >= 0, "a whole number from 0")
_SHARED = Option(lambda value: isinstance(value, bool), "True or False")
_SECONDS = Option(_is_seconds, "a number of seconds above 0")
_STRUCTURED = Option(
    lambda value: value in openai_options.STRUCTURED, f"one of: {', '.join(openai_options.STRUCTURED)}"
)

ENGINES: dict[str, EngineInfo] = {
    "transformers": EngineInfo(
        {"dtype": _DTYPE, "device": _DEVICE, "batch_tokens": _COUNT, "threads": _COUNT},
        _open_transformers,
        task_threads=True,
    ),
    "vllm": EngineInfo(
        {
            "dtype": _DTYPE,
            "max_model_len": _COUNT,
            "gpu_memory_utilization": _SHARE,
            "kv_cache_gib": _COUNT,
            "threads": _COUNT,
            "max_lora_rank": _COUNT,
            "engine_kwargs": _JSON,
        },
        _open_vllm,
        task_threads=True,
        concurrent=True,
        fills_gpu=True,
        when_shared={"max_lora_rank": 16},  # what fine-tuning makes
    ),
    "openai": EngineInfo(
        {
            "base_url": _ENDPOINT,
            "api_key_env": _VARIABLE,
            "concurrency": _COUNT,
            "timeout": _SECONDS,
            "max_retries": _RETRIES,
            "context": _COUNT,
            "structured": _STRUCTURED,
            "extra_body": _JSON,
        },
        _open_openai,
        NamedModels(
            openai_options.identity,
            lambda options: TextTokenizer(options.get("context", openai_options.CONTEXT)),
        ),
        pinned=openai_options.pinned,
        check=check_one_question,
        concurrent=True,
        holds_model=False,
    ),
    "fake": EngineInfo(
        {"fail_on": _TEXT},
        _open_fake,
        NamedModels(lambda model, options: f"fake:{model}", lambda options: ByteTokenizer()),
        concurrent=True,
    ),
}


def names_devices(options: Options) -> str:
    """The option by which somebody says where the engine computes, or "". A shared engine has one GPU, its tasks'."""
    if "device" in options:
        return "device"
    given = json.loads(options.get("engine_kwargs", "{}"))
    parallel = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    return next((name for name in parallel if given.get(name, 1) != 1), "")


def engine_spec(engine: str, options: dict[str, Any]) -> EngineSpec:
    """Checks the engine's name and its options. Raises SetupError that lists what there is."""
    name = "transformers" if engine == "auto" else engine
    if name not in ENGINES:
        raise SetupError(f"There is no engine {engine!r}.", hint=f"Use one of: auto, {', '.join(ENGINES)}.")
    known = dict(ENGINES[name].options) | ({"shared": _SHARED} if ENGINES[name].holds_model else {})
    if unknown := sorted(set(options) - set(known)):
        raise SetupError(
            f"The {name} engine has no option {unknown[0]!r}.", hint=f"It takes: {', '.join(known)}."
        )
    complete = dict(ENGINES[name].pinned(options))
    for option, value in complete.items():
        if not known[option].fits(value):
            shown = "..." if known[option].private else repr(value)
            raise SetupError(
                f"{option}={shown} is not an option's value.", hint=f"{option} takes {known[option].takes}."
            )
    shared = complete.pop("shared", None)
    if shared and (named := names_devices(complete)):
        raise SetupError(
            f"A shared engine computes on the GPU of its tasks, and {named} names others.",
            hint=f"Leave {named} out, or shared=True.",
        )
    return EngineSpec(name, tuple(sorted(complete.items())), shared)


def open_engine(spec: EngineSpec, model: str, base: Path | None, adapter: Path | None) -> Engine:
    """Loads the engine in this process. `model` is the identity; some engines need no files.

    Raises ModelError, or SetupError where there are no files and the engine needs them.
    """
    if base is None and spec.kind.needs_files:
        raise SetupError(
            f"The {spec.name} engine needs a model.", hint="Give the folder of its files as base."
        )
    return spec.kind.open(model, base, adapter, **dict(spec.options))
