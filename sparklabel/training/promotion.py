"""From a trained model's files to a version, and perhaps to the champion: only if it was judged against the one that it
replaces.

In: files and their run, and a function that judges a version. Out: the version, the gate's last result. Several jobs
may run at once: a version whose champion changed while it was judged is judged again.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparklabel import registry
from sparklabel.errors import SparklabelError
from sparklabel.progress import tell
from sparklabel.training.gate import GateResult

_ROUNDS = 3

_FIGURES = {
    "accuracy_new": "gate.accuracy_new", "accuracy_old": "gate.accuracy_old", "gain": "gate.gain",
    "lower95": "gate.gain_lower95", "upper95": "gate.gain_upper95",
}  # fmt: skip
"""Fields of GateResult, and the metrics that they are logged as."""

Judge = Callable[[str | None], tuple[GateResult, str]]
"""Judges against a champion, a version number (None: there is none): the result, and the baseline's name."""


def registered_version(
    run: registry.Run, files: Path, name: str, kept_in: Path, tags: Mapping[str, Any] | None = None
) -> str:
    """The number of the version that has these files: one that an earlier attempt in the same run registered, or a new
    one. If the store refuses it, the user is told where the model is kept, and how it goes on."""
    if earlier := registry.version_of(run, name):
        return earlier
    try:
        return registry.log_version(run, files, name, tags)
    except SparklabelError:
        tell(
            f"the trained model could not be registered, and is kept in {kept_in}: the same call registers it without "
            "training again"
        )
        raise


def promote_if_better(registered_name: str, version: str, judge: Judge) -> tuple[GateResult, str]:
    """Promotes the version if `judge` says so; returns what it said last.

    The verdict is `inconclusive` if the champion changed in each of three rounds; the version stays registered.
    """
    for _ in range(_ROUNDS):
        champion = registry.champion(registered_name)
        gate, baseline = judge(champion)
        if gate.verdict != "promoted" or registry.promote(registered_name, version, replacing=champion):
            return gate, baseline
    reason = f"The champion changed {_ROUNDS} times while this version was judged; last: {gate.reason}"
    return replace(gate, verdict="inconclusive", reason=reason), baseline


def log_gate(run: registry.Run, gate: GateResult, baseline: str, probe: float | None) -> None:
    """Logs what the gate said, and the accuracy of the probe beside it. A version that is to be promoted has not been
    yet: `log_verdict` says whether it was. Raises SetupError."""
    figures = {metric: getattr(gate, field) for field, metric in _FIGURES.items()} if gate.n else {}
    run.log_metrics(figures | {"gate.n": gate.n, "probe_accuracy": probe})
    verdict = "promoting" if gate.verdict == "promoted" else gate.verdict
    # The tag was named before "baseline" was; stored names do not change.
    run.set_tags({"gate.verdict": verdict, "gate.reason": gate.reason, "gate.opponent": baseline})
    run.flush()  # before the promotion: an attempt after this one must find it


def log_verdict(run: registry.Run, gate: GateResult) -> None:
    """Logs what became of the version. Raises SetupError."""
    run.set_tags({"gate.verdict": gate.verdict, "gate.reason": gate.reason})


def promoted_before(run: registry.Run, registered_name: str, version: str) -> tuple[GateResult, str] | None:
    """What an earlier attempt in the same run said of the version, and the baseline's name, if it made the version the
    champion: judged again, it would be judged against itself. Raises SetupError."""
    if not run.is_reopened or registry.champion(registered_name) != version:
        return None
    metrics, tags = run.logged()
    figures = {field: metrics.get(metric, math.nan) for field, metric in _FIGURES.items()}
    gate = GateResult(
        n=int(metrics.get("gate.n", 0)), verdict="promoted", reason=tags.get("gate.reason", ""), **figures
    )
    return gate, tags.get("gate.opponent", "")
