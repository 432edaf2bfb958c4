"""What the candidates of a search are trained with: all combinations of values, or ranges that TPE chooses from.

In: fields of `TrainingConfig`, or `base`, by keyword. Out: a checked, frozen search, and its JSON. Optuna, which draws
from the ranges, is behind `queue`.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sparklabel.arguments import is_number, unknown_name
from sparklabel.errors import SetupError
from sparklabel.language_model.training.config import TrainingConfig

MAX_CANDIDATES = 1000
BASE = "base"
_NAMES = (BASE, *(field.name for field in fields(TrainingConfig) if field.name != "target_modules"))
_Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones if both are."""

    low: float
    high: float
    log: bool = False

    @property
    def is_whole(self) -> bool:
        return type(self.low) is int and type(self.high) is int


@dataclass(frozen=True, slots=True)
class Grid:
    """Every combination of these values. Made by `grid`."""

    values: Mapping[str, tuple[_Value, ...]]

    @property
    def size(self) -> int:
        """How many candidates there are."""
        return math.prod(map(len, self.values.values()))

    def candidates(self) -> list[dict[str, _Value]]:
        """What each candidate is trained with; the last name varies fastest."""
        return [
            dict(zip(self.values, chosen, strict=True)) for chosen in itertools.product(*self.values.values())
        ]


@dataclass(frozen=True, slots=True)
class Tpe:
    """Candidates that are drawn where earlier ones did well. Made by `tpe`."""

    trials: int
    space: Mapping[str, Range | tuple[_Value, ...]]
    seed: int = 0

    @property
    def size(self) -> int:
        """How many candidates there are."""
        return self.trials


Search = Grid | Tpe


def grid(**values: Sequence[_Value]) -> Grid:
    """A search over every combination of the values given.

    Args:
        **values: For each name, a list of values. The names are those of `TrainingConfig`'s fields without
            `target_modules`, and `base`.

    Raises:
        SetupError: A name is unknown, a value is out of its range or given twice, or there are more than 1,000
            combinations.

    Example:
        >>> from sparklabel import grid
        >>> grid(learning_rate=[1e-4, 1e-3], rank=[8, 16, 32]).size
        6
    """
    _check_names("grid", values)
    found = Grid({name: _choices("grid", name, given) for name, given in values.items()})
    _check_size("grid", found.size)
    return found


def tpe(*, trials: int, seed: int = 0, **space: Sequence[Any]) -> Tpe:
    """A search by tree-structured Parzen estimators (Bergstra et al. 2011, "Algorithms for Hyper-Parameter
    Optimization"), as Optuna implements them. The first ten candidates are drawn at random.

    Args:
        trials: How many candidates to train, from 1 to 1,000.
        seed: Of what is drawn.
        **space: For each name a tuple `(low, high)` or `(low, high, "log")`, both bounds included and whole numbers if
            both are; or a list of values. The names are as in `grid`.

    Raises:
        SetupError: A name is unknown, a bound or a value is out of its range, or `trials` is not from 1 to 1,000.

    Example:
        >>> from sparklabel import tpe
        >>> tpe(trials=20, learning_rate=(1e-5, 1e-3, "log"), rank=[8, 16]).size
        20
    """
    if type(trials) is not int:
        raise SetupError(f"tpe: trials={trials!r} is not a whole number.")
    if type(seed) is not int or seed < 0:
        raise SetupError(f"tpe: seed={seed!r} is not a whole number from 0.")
    _check_size("tpe", trials)
    _check_names("tpe", space)
    return Tpe(
        trials,
        {
            name: _range(name, given) if isinstance(given, tuple) else _choices("tpe", name, given)
            for name, given in space.items()
        },
        seed,
    )


def search_to_dict(search: Search) -> dict[str, Any]:
    """The search as JSON has it."""
    if isinstance(search, Grid):
        return {"grid": {name: list(values) for name, values in search.values.items()}}
    space = {
        name: asdict(given) if isinstance(given, Range) else list(given)
        for name, given in search.space.items()
    }
    return {"tpe": {"trials": search.trials, "seed": search.seed, **space}}


def search_from_dict(found: object) -> Search:
    """The search that a file or the queue has: `grid` with a list of values for each name, or `tpe` with `trials` and
    for each name a list of values, or `low`, `high` and `log`. Raises SetupError."""
    if not isinstance(found, Mapping) or len(found) != 1 or next(iter(found)) not in ("grid", "tpe"):
        raise SetupError(
            f"search: {found!r} is neither a grid nor a tpe.",
            hint="Write `search: {grid: {learning_rate: [0.0001, 0.001]}}`.",
        )
    [(kind, given)] = found.items()
    if not isinstance(given, Mapping):
        raise SetupError(f"search: {kind} has no names, but {given!r}.")
    space = {str(name): _bounds(name, value) for name, value in given.items()}
    if kind == "tpe" and "trials" not in space:
        raise SetupError(
            "search: tpe has no `trials`.", hint="Say how many candidates to train: `trials: 50`."
        )
    return grid(**space) if kind == "grid" else tpe(**space)


def _bounds(name: object, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if not {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        raise SetupError(f"search: {name} has {', '.join(map(str, value))}, not low, high and perhaps log.")
    if not isinstance(value.get("log", False), bool):
        raise SetupError(f"search: {name}: log={value['log']!r} is neither true nor false.")
    return (value["low"], value["high"], *(("log",) if value.get("log") else ()))


def _check_names(kind: str, given: Mapping[str, object]) -> None:
    if not given:
        raise SetupError(f"{kind}() names nothing to vary.", hint="For example learning_rate=[1e-4, 1e-3].")
    for name in given:
        if name not in _NAMES:
            raise unknown_name(kind, "parameter", name, _NAMES)


def _check_size(kind: str, size: int) -> None:
    if not 1 <= size <= MAX_CANDIDATES:
        raise SetupError(f"{kind}: {size:,} candidates; from 1 to {MAX_CANDIDATES:,} can be submitted.")


def _choices(kind: str, name: str, given: Any) -> tuple[_Value, ...]:
    if not isinstance(given, list | tuple) or not given:
        raise SetupError(f"{kind}: {name}={given!r} is not a list of values.")
    for value in given:
        _check_value(name, value)
    if len(set(given)) < len(given):
        raise SetupError(f"{kind}: {name}={given!r} has a value twice.")
    return tuple(given)


def _range(name: str, given: tuple[Any, ...]) -> Range:
    numbers, scale = given[:2], given[2:]
    if len(numbers) != 2 or scale not in ((), ("log",)) or not all(map(is_number, numbers)):
        raise SetupError(
            f"tpe: {name}={given!r} is not a range.",
            hint=f'Write {name}=(low, high), {name}=(low, high, "log"), or a list of values.',
        )
    for bound in numbers:
        _check_value(name, bound)
    low, high = numbers
    if low >= high:
        raise SetupError(f"tpe: {name}={given!r} does not rise from its first number to its second.")
    if scale and low <= 0:
        raise SetupError(f"tpe: {name}={given!r} is on a logarithmic scale and begins at {low}.")
    return Range(low, high, bool(scale))


def _check_value(name: str, value: Any) -> None:
    if name != BASE:
        TrainingConfig(**{name: value})
    elif not isinstance(value, str) or not value.strip():
        raise SetupError(f"base={value!r} is not the name of a model.")
