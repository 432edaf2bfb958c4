"""Which engine, with which options: what travels to workers, and how it becomes an engine there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from sparklabel.engines.engine import Engine
from sparklabel.engines.fake import FakeEngine
from sparklabel.errors import SetupError

EngineName = Literal["transformers", "fake"]
ENGINES: tuple[str, ...] = get_args(EngineName)
_DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine, and its options (sorted pairs, so that equal specs are equal). Picklable; printed in plans."""

    name: EngineName
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.options)})"


def engine_spec(engine: str, options: dict[str, Any]) -> EngineSpec:
    """Checks the engine's name and its options. Raises SetupError that lists what there is."""
    name = "transformers" if engine == "auto" else engine
    if name not in ENGINES:
        raise SetupError(f"There is no engine {engine!r}.", hint=f"Use one of: auto, {', '.join(ENGINES)}.")
    known = _option_names(name)
    if unknown := sorted(set(options) - set(known)):
        raise SetupError(
            f"The {name} engine has no option {unknown[0]!r}.", hint=f"It takes: {', '.join(known)}."
        )
    for option, value in options.items():
        _check_value(option, value)
    return EngineSpec(name, tuple(sorted(options.items())))  # type: ignore[arg-type]


def _check_value(option: str, value: Any) -> None:
    """What passes is hashable too: specs are keys of the caches that hold loaded models."""
    if option == "dtype":
        fits, takes = isinstance(value, str) and value in _DTYPES, f"one of: {', '.join(_DTYPES)}"
    elif option == "device":
        fits, takes = isinstance(value, str) and bool(value), "a torch device's name, such as cpu or cuda:0"
    elif option == "fail_on":
        fits, takes = isinstance(value, str) and bool(value), "a text"
    else:
        fits, takes = type(value) is int and value > 0, "a whole number above 0"
    if not fits:
        raise SetupError(f"{option}={value!r} is not an option's value.", hint=f"{option} takes {takes}.")


def _option_names(name: str) -> tuple[str, ...]:
    return {"transformers": ("dtype", "device", "batch_tokens", "threads"), "fake": ("fail_on",)}[name]


def open_engine(spec: EngineSpec, model: str, base: Path | None, adapter: Path | None) -> Engine:
    """Loads the engine in this process. `model` is the identity; the fake engine needs no files.

    Raises ModelError, or SetupError where there are no files and the engine needs them.
    """
    if spec.name == "fake":
        return FakeEngine(model, **dict(spec.options))
    if base is None:
        raise SetupError(
            f"The {spec.name} engine needs a model.", hint="Give the folder of its files as base."
        )
    from sparklabel.engines.transformers import TransformersEngine

    return TransformersEngine.load(base, adapter, **dict(spec.options))
