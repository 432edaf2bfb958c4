"""How many rows are decoded at once, decided by the tokens they have now.

In: lengths of rows in tokens, and the model's two budgets. Out: counts of rows. No tensors and no grammar.

Most answers are far shorter than their limit, so nothing is reserved for what a row may still write. Rows are admitted
with a small lookahead; when they outgrow the budget after all, `generate` puts the youngest back.
"""

from collections.abc import Sequence

from sparklabel.language_model.attention.kv_cache import cache_tokens

_LOOKAHEAD = 32
"""Tokens that an admitted row may write before it can be given back."""
MAX_ROWS = 256
"""More rows gain little, and each needs logits over the vocabulary."""


def rows_that_fit(width: int, kept_tokens: int) -> int:
    """How many rows of up to `width` tokens may be decoded at once; one always may."""
    return min(MAX_ROWS, max(1, kept_tokens // cache_tokens(1, width)))


def rows_to_admit(
    waiting: Sequence[int], running: Sequence[int], *, kept_tokens: int, batch_tokens: int
) -> int:
    """How many of the waiting rows join those that run.

    Args:
        waiting: lengths of the rows that wait, longest first; more than `MAX_ROWS` of them change nothing.
        running: lengths of the rows that run, with tokens not yet evaluated.
        kept_tokens: the most tokens that the cache may hold.
        batch_tokens: the most tokens in one forward pass.

    Returns:
        A count. Zero while only a few could join, since a forward pass for few tokens costs nearly as much as one for
        many. At least one if nothing runs.
    """
    if not waiting:
        return 0
    slots = rows_that_fit(max(waiting[0], *running, 0) + _LOOKAHEAD, kept_tokens)
    room = min(slots - len(running), len(waiting))
    at_once = max(1, batch_tokens // waiting[0])
    worthwhile = max(1, min(slots // 4, at_once // 4))
    if running and room < min(worthwhile, len(waiting)):
        return 0
    return min(room, at_once)
