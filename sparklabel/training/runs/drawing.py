"""What Optuna's sampler is told of a search, and what it draws.

In: a search, a trial of the queue. Out: the trial's parameters, or how Optuna's own tools see them.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import RDBStorage
from optuna.trial import Trial

from sparklabel.training.runs.search import Grid, Range, Search, Tpe


def draw(storage: RDBStorage, name: str, trial: int, search: Tpe, run: int) -> dict[str, Any]:
    """What TPE draws for the trial, which keeps it. Each run has a seed of its own: workers that begin together must
    not draw the same. Runs that are under way count as bad ones, so that two workers do not try the same place."""
    seed = int.from_bytes(sha256(f"{search.seed}/{run}".encode()).digest()[:4])
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    drawing = Trial(optuna.load_study(study_name=name, storage=storage, sampler=sampler), trial)
    found: dict[str, Any] = {}
    for parameter, space in search.space.items():
        if not isinstance(space, Range):
            found[parameter] = drawing.suggest_categorical(parameter, list(space))
        elif space.is_whole:
            found[parameter] = drawing.suggest_int(parameter, int(space.low), int(space.high), log=space.log)
        else:
            found[parameter] = drawing.suggest_float(parameter, space.low, space.high, log=space.log)
    return found


def grid_distributions(search: Search | None, params: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """How Optuna's own tools see a grid's values: as categories."""
    if not params or not isinstance(search, Grid):
        return {}
    return {name: CategoricalDistribution(search.values[name]) for name in params}
