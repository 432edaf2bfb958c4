"""What happened in one pass. Frozen; made when the pass has ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparklabel.labeling.drift import FirstAnswers
from sparklabel.labeling.limits import DRIFT, NOT_BEGUN
from sparklabel.labeling.stats import PassStats
from sparklabel.table.row_states import ModelShare


@dataclass(frozen=True, slots=True)
class InferenceResult:
    """What came of asking the model, in so many `seconds`. `resumed` and `cached` count inputs whose answer was staged
    before, or in the cache; `cache_problem` says why the cache could not be used. `kept_older` counts rows that keep
    their older answer because the engine failed, and `failure` is what it said about one of them."""

    stats: PassStats = field(default_factory=PassStats)
    stop_reason: str = ""
    seconds: float = 0.0
    resumed: int = 0
    cached: int = 0
    cache_problem: str = ""
    first: FirstAnswers = field(default_factory=FirstAnswers)
    kept_older: int = 0
    failure: str = ""

    @property
    def should_merge(self) -> bool:
        """Whether the answers go into the table. After a drift they wait for a call that accepts them."""
        return self.stop_reason not in (DRIFT, NOT_BEGUN)


@dataclass(frozen=True, slots=True)
class PassOutcome:
    """What the pass did to the table. `answered` is None if nothing was pending. `by_status` counts the rows written,
    `by_model` those of each model of a cascade, `conflicts` the commits that were repeated because another writer was
    first, in the whole call. `rewritten` says what deletion vectors would have saved."""

    version_after: int
    seconds: float
    answered: InferenceResult | None = None
    corrections_stamped: int = 0
    by_status: Mapping[str, int] = field(default_factory=dict)
    by_model: Mapping[str, ModelShare] = field(default_factory=dict)
    conflicts: int = 0
    rewritten: str = ""
    run_id: str | None = None
