"""Promotion: a version becomes the champion only when it was judged against the one that it replaces.

In: a registered version, and how it is judged. Out: the gate's last result. Companion jobs may run at once: whoever
finds another champion than the one it was judged against is judged again.
"""

from collections.abc import Callable
from dataclasses import replace

from sparklabel import registry
from sparklabel.training.gate import GateResult

_ROUNDS = 3

Judge = Callable[[str | None], tuple[GateResult, str]]
"""Judges against the champion, a version number (None: there is none): the result, and the opponent's name."""


def promote_if_better(registered_name: str, version: str, judge: Judge) -> tuple[GateResult, str]:
    """Promotes the version if `judge` finds so, and says what it found.

    Where the champion changed in every one of three rounds the verdict is `inconclusive`: the version stays
    registered.
    """
    for _ in range(_ROUNDS):
        champion = registry.champion(registered_name)
        gate, baseline = judge(champion)
        if gate.verdict != "promoted" or registry.promote(registered_name, version, replacing=champion):
            return gate, baseline
    reason = f"The champion changed {_ROUNDS} times while this version was judged; last: {gate.reason}"
    return replace(gate, verdict="inconclusive", reason=reason), baseline
