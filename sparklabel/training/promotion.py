"""Promotion: a version becomes the champion only if it was judged against the one that it replaces.

In: a registered version, and a function that judges it. Out: the gate's last result. Several jobs may run at once: a
version whose champion changed while it was judged is judged again.
"""

from collections.abc import Callable
from dataclasses import replace

from sparklabel import registry
from sparklabel.training.gate import GateResult

_ROUNDS = 3

Judge = Callable[[str | None], tuple[GateResult, str]]
"""Judges against a champion, a version number (None: there is none): the result, and the baseline's name."""


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
