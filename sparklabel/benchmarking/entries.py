"""A model of a benchmark: a reference, its engine, how it is taught, what it costs.

In: what a user wrote, a reference or a mapping. Out: `Entry` records with different names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from sparklabel.arguments import check_flags, unknown_name
from sparklabel.engines import EngineOptions, engine_spec
from sparklabel.errors import SetupError
from sparklabel.labeling.options import Pricing
from sparklabel.training.call import CLASSIFIER, LORA, METHODS


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of a benchmark.

    Attributes:
        model: A reference.
        name: What tables and charts call it; by default made of the rest.
        engine: Its engine, or the options of it.
        options: Options of the engine, by name.
        method: How it is taught by answers: "lora", "classifier" or "auto".
        tune_encoder: Trains a classifier's encoder, too.
        cost_per_hour, cost_per_million_tokens: Its prices, as for `label_table`.
    """

    model: str
    name: str = ""
    engine: str | EngineOptions = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    method: str = LORA
    tune_encoder: bool = False
    cost_per_hour: float | None = None
    cost_per_million_tokens: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise SetupError(f"model={self.model!r} is not a reference to a model.")
        if not isinstance(self.options, Mapping):
            raise SetupError(f"options={self.options!r} are not options by name.")
        if self.method not in METHODS:
            raise unknown_name("benchmark", "method", str(self.method), METHODS)
        check_flags(SetupError, tune_encoder=self.tune_encoder)
        if self.tune_encoder and self.method != CLASSIFIER:
            raise SetupError(
                f"tune_encoder=True, and method={self.method!r} trains no classifier by itself.",
                hint="Give method='classifier', or leave tune_encoder= out.",
            )
        engine_spec(self.engine, dict(self.options))
        _ = self.pricing

    @property
    def pricing(self) -> Pricing:
        return Pricing(self.cost_per_hour, self.cost_per_million_tokens)

    @property
    def can_learn(self) -> bool:
        """Whether answers can teach it: it has weights here."""
        return engine_spec(self.engine, dict(self.options)).kind.needs_files

    @classmethod
    def of(cls, given: object) -> "Entry":
        """From a reference, or a mapping of the attributes. Raises SetupError."""
        if isinstance(given, Entry):
            return given
        if not isinstance(given, Mapping):
            return cls(given)  # type: ignore[arg-type]  # checked there
        known = [one.name for one in fields(cls)]
        for name in given:
            if name not in known:
                raise unknown_name("A model of a benchmark", "field", str(name), known)
        if "model" not in given:
            raise SetupError(
                f"{dict(given)!r} names no model.", hint="Give a reference: {'model': 'org/name'}."
            )
        return cls(**given)


def named_entries(given: Iterable[object]) -> list[Entry]:
    """The entries, each with a name of its own. Raises SetupError."""
    entries = [Entry.of(one) for one in given]
    if not entries:
        raise SetupError("models=[] names no model.", hint="Give at least one reference.")
    several = len({entry.model for entry in entries}) < len(entries)
    named = [entry if entry.name else replace(entry, name=_name(entry, several)) for entry in entries]
    names = [entry.name for entry in named]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SetupError(
            f"Two of the models are called {twice!r}.", hint="Give them names: {'model': ..., 'name': ...}."
        )
    return named


def _name(entry: Entry, several: bool) -> str:
    if entry.tune_encoder:
        return f"{entry.model}, {entry.method} and its encoder"
    return f"{entry.model}, {entry.method}" if several or entry.method != LORA else entry.model
