"""The engines there are, and how a specification becomes one of them.

In: an engine's name and options, as a user wrote them. Out: an `EngineSpec`, which travels to workers; there, an open
engine. What each option takes is in `sparklabel.engines.options`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparklabel.arguments import did_you_mean
from sparklabel.engines.base import Engine, SharedEngine
from sparklabel.engines.fake import ByteTokenizer, FakeEngine
from sparklabel.engines.openai.address import identity, model_of
from sparklabel.engines.openai.choice_logprobs import check_choices
from sparklabel.engines.openai.text_tokenizer import TextTokenizer
from sparklabel.engines.options import (
    EncoderOptions,
    EngineOptions,
    FakeOptions,
    OpenAIOptions,
    TransformersOptions,
    VllmOptions,
    names_devices,
    shown_option,
)
from sparklabel.errors import SetupError
from sparklabel.label_trie import LabelTrie
from sparklabel.prompts import Tokenizer


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine, and its options (sorted pairs, so that equal specs are equal). Picklable; printed in plans.

    `shared`: one process serves all tasks of a GPU or, without GPUs, of a machine (True); each Python worker has an
    engine of its own (False); or whichever is the default, which depends on whether there is a GPU (None).
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    shared: bool | None = None

    def __str__(self) -> str:
        """As logs and records show it: without what may be secret."""
        return f"{self.name}({', '.join(f'{k}={shown_option(k, v)}' for k, v in self.options)})"

    def is_shared(self, *, on_gpu: bool) -> bool:
        """Whether tasks share one engine. By default they do on a GPU, which should hold a model once, unless the
        options name devices. Without a GPU each worker has its own: on two cores a shared engine took 1.4 times as long
        (see the lab notebook)."""
        if not self.kind.is_shareable:
            return False
        if self.shared is None:
            return on_gpu and self.kind.needs_files and not names_devices(dict(self.options))
        return self.shared

    def isolated(self) -> "EngineSpec":
        """The same engine in a process of its own, whose death a worker survives. Itself if `shared` was given, or if
        its options say on which devices it computes."""
        is_free = self.shared is None and self.kind.is_shareable and not names_devices(dict(self.options))
        return replace(self, shared=True) if is_free else self

    @property
    def kind(self) -> "EngineInfo":
        return ENGINES[self.name]


Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NamedModels:
    """For models that are only names, without files here. `identity` gives what labels record of a model, from its name
    and the options; `tokenizer` gives what makes prompts for it."""

    identity: Callable[[str, Options], str]
    tokenizer: Callable[[Options], Tokenizer]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the rest of the package knows of an engine.

    `model`: the record that validates its options. `open`: takes the model's identity, its files, and the options.
    `named`: set if any text names a model; otherwise a model is one that can be resolved and fetched. `task_threads`:
    it computes in the Spark task, and takes the threads of its slot as the option `threads`. `check`: raises TaskError
    for choices that it cannot score. `concurrent`: several threads may call it at once. `fills_gpu`: it takes most of a
    GPU's memory, whatever its model needs. `on_cpu`: it leaves a GPU alone. `is_shareable`: it holds a model that tasks
    can share. `is_paid`: its answers cost money. `is_readable`: it gives hidden states. `when_shared`: options that
    apply when tasks share it, unless others were given.
    """

    model: type[EngineOptions]
    open: Callable[..., Engine]
    named: NamedModels | None = None
    task_threads: bool = False
    check: Callable[[LabelTrie], None] = lambda trie: None
    concurrent: bool = False
    fills_gpu: bool = False
    on_cpu: bool = False
    is_shareable: bool = True
    is_paid: bool = False
    is_readable: bool = False
    when_shared: Options = field(default_factory=dict)

    @property
    def needs_files(self) -> bool:
        return self.named is None

    @property
    def options(self) -> frozenset[str]:
        """The names of the options that the engine itself is opened with."""
        return frozenset(self.model.model_fields) - {"shared"}


def _open_fake(model: str, base: Path | None, adapter: Path | None, **options: Any) -> Engine:
    return FakeEngine(model, **options)


def _open_transformers(model: str, base: Path, adapter: Path | None, **options: Any) -> Engine:
    from sparklabel.engines.transformers import TransformersEngine

    return TransformersEngine.load(base, adapter, **options)


def _open_encoder(model: str, base: Path, adapter: Path | None, **options: Any) -> Engine:
    from sparklabel.engines.encoder import EncoderEngine

    return EncoderEngine.load(base, model, **options)


def _open_vllm(model: str, base: Path, adapter: Path | None, **options: Any) -> Engine:
    from sparklabel.engines.vllm.engine import VllmEngine

    return VllmEngine.load(base, adapter, **options)


def _open_openai(model: str, base: Path | None, adapter: Path | None, **options: Any) -> Engine:
    from sparklabel.engines.openai.engine import OpenAIEngine

    return OpenAIEngine(model_of(model), **options)


ENGINES: dict[str, EngineInfo] = {
    "transformers": EngineInfo(TransformersOptions, _open_transformers, task_threads=True, is_readable=True),
    "vllm": EngineInfo(
        VllmOptions,
        _open_vllm,
        task_threads=True,
        concurrent=True,
        fills_gpu=True,
        when_shared={"max_lora_rank": 16},  # the rank that fine-tuning makes
    ),
    "openai": EngineInfo(
        OpenAIOptions,
        _open_openai,
        NamedModels(identity, lambda options: TextTokenizer(OpenAIOptions(**options).context)),
        check=check_choices,
        concurrent=True,
        is_shareable=False,
        is_paid=True,
    ),
    "encoder": EngineInfo(EncoderOptions, _open_encoder, task_threads=True, on_cpu=True, is_shareable=False),
    "fake": EngineInfo(
        FakeOptions,
        _open_fake,
        NamedModels(lambda model, options: f"fake:{model}", lambda options: ByteTokenizer()),
        concurrent=True,
    ),
}


def engine_spec(engine: str | EngineOptions, options: Mapping[str, Any]) -> EngineSpec:
    """Which engine, with which options, checked before anything is loaded.

    Args:
        engine: The name of an engine ("auto" is "transformers"), or an engine's options, such as
            `VllmOptions(max_model_len=4096)`.
        options: Options by name. They win over those of an options record.

    Returns:
        The specification that travels to the workers.

    Raises:
        SetupError: The engine or an option is unknown, with the nearest name; or an option's value is not one that the
            option takes.
    """
    given = _options_of(engine, options).given
    shared = given.pop("shared", None)
    return EngineSpec(_name_of(engine), tuple(sorted(given.items())), shared)


def option_names(engine: str | EngineOptions) -> tuple[str, ...]:
    """The options that an engine takes, by name. Raises SetupError for an unknown engine."""
    return tuple(ENGINES[_name_of(engine)].model.model_fields)


def _options_of(engine: str | EngineOptions, options: Mapping[str, Any]) -> EngineOptions:
    before = engine.given if isinstance(engine, EngineOptions) else {}
    return ENGINES[_name_of(engine)].model(**before | dict(options))


def _name_of(engine: object) -> str:
    if isinstance(engine, EngineOptions):
        return engine.engine
    hint = f"Use one of: auto, {', '.join(ENGINES)}; or an engine's options, such as sl.VllmOptions(...)."
    if not isinstance(engine, str):
        raise SetupError(f"engine={engine!r} is not an engine.", hint=hint)
    name = "transformers" if engine == "auto" else engine
    if name not in ENGINES:
        raise SetupError(f"There is no engine {engine!r}{did_you_mean(engine, ENGINES) or '.'}", hint=hint)
    return name


def open_engine(
    spec: EngineSpec, model: str, base: Path | None, adapter: Path | None, *, keeps_base: bool = False
) -> Engine:
    """Loads the engine in this process. `model` is the identity; some engines need no files. `keeps_base`: the base is
    read beside the adapter, so its weights are kept, too.

    Raises ModelError; SetupError if the engine needs files and there are none.
    """
    if base is None and spec.kind.needs_files:
        raise SetupError(
            f"The {spec.name} engine needs a model.", hint="Give the folder of its files as base."
        )
    apart = adapter if keeps_base else None
    engine = spec.kind.open(model, base, None if apart else adapter, **dict(spec.options))
    if apart is None:
        return engine
    assert isinstance(engine, SharedEngine), "an engine that reads a base takes adapters beside it"
    return engine.with_adapter(apart)
