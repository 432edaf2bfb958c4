"""Which human answers are held out: they judge models, and are never trained on or shown in a prompt. And which of the
others choose among the candidates of a search.

In: a row's inputs. Out: whether the row is held out, by a fixed hash. Nothing is stored, and nothing about the table
enters the hash: examples come from other tables, models are judged on tables that they were not trained on, and a table
that is made anew keeps its split. So whoever writes texts can choose which of them judge: `seems_chosen` tells if they
are many.
"""

import hashlib
import math
from collections.abc import Sequence

from sparklabel.texts import normalized

HELD_OUT_SHARE = 0.2
VALIDATION_SHARE = 0.2
_CHANCE = 5.0
"""Standard deviations of the number of held-out inputs."""


def is_held_out(text_inputs: Sequence[str | None], share: float = HELD_OUT_SHARE) -> bool:
    """Whether a row's answer judges models and never trains them.

    It is decided by a fixed hash of the normalized inputs: the same in every round, on every machine, and for inputs
    that differ only in case, whitespace or Unicode form, or are NULL instead of blank, because their prompts are the
    same. A row that is held out at one share is held out at every larger one.

    Args:
        text_inputs: The row's inputs, in the task's order.
        share: About how much of the distinct inputs to hold out, in [0, 1].
    """
    return _is_drawn(b"sparklabel held-out v1:", text_inputs, share)


def is_validation(text_inputs: Sequence[str | None], share: float = VALIDATION_SHARE) -> bool:
    """Whether a training row's answer judges the candidates of a search and trains none, by another fixed hash.

    What it judges is chosen by it, so it cannot judge what was chosen: that is for the held-out answers, once. Of 50
    equal candidates that each met the gate, one would be promoted by chance in 69% of searches.

    Args:
        text_inputs: The row's inputs, in the task's order.
        share: About how much of the distinct inputs, in [0, 1].
    """
    return _is_drawn(b"sparklabel validation v1:", text_inputs, share)


def fold(text_inputs: Sequence[str | None], folds: int) -> int:
    """The fold of a training row's input in cross-validation, from 0, by a third fixed hash: equal inputs share one."""
    return _hash(b"sparklabel folds v1:", text_inputs) % folds


def _is_drawn(purpose: bytes, text_inputs: Sequence[str | None], share: float) -> bool:
    return _hash(purpose, text_inputs) < share * 2**64


def _hash(purpose: bytes, text_inputs: Sequence[str | None]) -> int:
    digest = hashlib.sha256(purpose)
    for text in input_key(text_inputs):
        data = text.encode("utf-8", "surrogatepass")
        # Lengths keep ("ab", "c") apart from ("a", "bc").
        digest.update(b"S%d:" % len(data) + data)
    return int.from_bytes(digest.digest()[:8])


def seems_chosen(held_out: int, inputs: int) -> bool:
    """Whether so many of the distinct inputs are held out that chance explains it in less than one table of a
    million."""
    spread = math.sqrt(inputs * HELD_OUT_SHARE * (1 - HELD_OUT_SHARE))
    return held_out - inputs * HELD_OUT_SHARE > _CHANCE * spread + 1


def input_key(text_inputs: Sequence[str | None]) -> tuple[str, ...]:
    """What two rows with the same input have in common: case, whitespace and Unicode form do not count."""
    return tuple(normalized(text or "") for text in text_inputs)
