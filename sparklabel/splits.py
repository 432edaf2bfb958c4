"""Which human answers only ever judge models: they are neither trained on nor shown in a prompt.

In: a row's inputs. Out: whether it is held out, by a fixed hash. Nothing is stored.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

HELD_OUT_SHARE = 0.2


def is_held_out(text_inputs: Sequence[str | None], share: float = HELD_OUT_SHARE) -> bool:
    """True where a row's answer judges models and never trains them: about `share` of distinct inputs.

    A fixed hash of the normalised inputs, so it is the same in every round, on every machine, and for inputs
    that differ only in case, blanks or Unicode form, or are NULL in place of blank: they have the same prompt. What is
    held out at a share is held out at every larger one.
    """
    digest = hashlib.sha256(b"sparklabel held-out v1:")
    for text in text_inputs:
        data = normalised(text or "").encode("utf-8", "surrogatepass")
        # Lengths keep ("ab", "c") apart from ("a", "bc").
        digest.update(b"S%d:" % len(data) + data)
    return int.from_bytes(digest.digest()[:8]) < share * 2**64


def normalised(text: str) -> str:
    """Compatibility characters, case and runs of blanks made equal."""
    # Folding can undo NFKC, so that comes again.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())
