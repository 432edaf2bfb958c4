"""What an engine is: token ids and a constraint in, scores out. Prompts, parsing and confidence live outside.

`EngineSpec` is what travels to workers; `open_engine` turns it into an engine, once per process.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from sparklabel.constraints import LabelTrie, TokenPath
from sparklabel.errors import EngineError
from sparklabel.prompts import Tokenizer

EngineName = Literal["transformers", "fake"]
ENGINES: tuple[str, ...] = get_args(EngineName)


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """N rows of token ids behind one shared prefix (may be empty), and the labels' trie."""

    prefix: TokenPath
    rows: tuple[TokenPath, ...]
    trie: LabelTrie


class Engine(Protocol):
    """`score` gives float32 [N, O]: for each row, the logits of the trie's options, up to a constant per branching
    node. Raises EngineError when the batch could not be computed."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    def score(self, request: ScoringRequest) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine, and its options (sorted pairs, so that equal specs are equal). Picklable; printed in plans."""

    name: EngineName
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.options)})"


def engine_spec(engine: str, options: dict[str, Any]) -> EngineSpec:
    """Checks the engine's name and option names. Raises EngineError that lists what there is."""
    name = "transformers" if engine == "auto" else engine
    if name not in ENGINES:
        raise EngineError(f"There is no engine {engine!r}.", hint=f"Use one of: auto, {', '.join(ENGINES)}.")
    known = _option_names(name)
    if unknown := sorted(set(options) - set(known)):
        takes = f"It takes: {', '.join(known)}." if known else "It takes none."
        raise EngineError(f"The {name} engine has no option {unknown[0]!r}.", hint=takes)
    return EngineSpec(name, tuple(sorted(options.items())))  # type: ignore[arg-type]


def _option_names(name: str) -> tuple[str, ...]:
    return {"transformers": ("dtype", "device", "batch_tokens", "threads"), "fake": ()}[name]


def open_engine(spec: EngineSpec, model: str, base: Path | None, adapter: Path | None) -> Engine:
    """Loads the engine in this process. `model` is the identity; the fake engine needs no files."""
    if spec.name == "fake":
        from sparklabel.engines.fake import FakeEngine

        return FakeEngine(model)
    from sparklabel.engines.transformers import TransformersEngine

    if base is None:
        raise EngineError(f"The {spec.name} engine needs a model.")
    return TransformersEngine.load(base, adapter, **dict(spec.options))
