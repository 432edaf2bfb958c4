"""What models are asked: labels, rows of a given length, a JSON schema.

In: a tokenizer or a vocabulary's size, numbers of rows and tokens. Out: requests as engines take them. Rows are random
tokens, since random weights make no more of words; lengths vary as texts' do, so that padding counts.
"""

import json
import random
from collections.abc import Sequence
from itertools import product

from benchmarks.gpu.ours import LabelTrie, ModelTokenizer, label_trie

PREFIX = 32
"""Tokens that all prompts of a request share: a short instruction."""
_SPREAD = 0.2
"""Rows have 0.8 to 1.2 times as many tokens of their own as are asked for."""
_THINGS = ("card", "card payment", "cash withdrawal", "transfer", "top up", "refund", "exchange rate")
_EVENTS = (
    "arrival", "declined", "failed", "fee charged", "limit", "lost or stolen", "not recognized", "not working",
    "pending", "reverted", "wrong amount",
)  # fmt: skip
LABELS: dict[int, tuple[str, ...]] = {
    2: ("fresh", "rotten"),
    77: tuple(f"{thing} {event}" for thing, event in product(_THINGS, _EVENTS)),
}
"""By their number. The 77 are like banking77's: of several tokens, and many begin alike."""
_FIELDS: dict[str, list[object]] = {
    "topic": ["card", "transfer", "account", "other"], "tone": ["calm", "angry", None], "stars": [1, 2, 3, 4, 5],
    "refund": [True, False],
}  # fmt: skip
_QUOTE = 24
SCHEMA = json.dumps({
    "type": "object",
    "properties": {
        **{name: {"enum": values} for name, values in _FIELDS.items()},
        "quote": {"type": "string", "maxLength": _QUOTE},
    },
    "required": [*_FIELDS, "quote"],
    "additionalProperties": False,
})  # fmt: skip
MAX_TOKENS = 192
"""More than any answer under SCHEMA takes, with a token for each byte of its letters."""


def trie_of(labels: int, tokenizer: ModelTokenizer) -> LabelTrie:
    """Of 2 or 77 labels."""
    names = LABELS[labels]
    return label_trie([tokenizer.encode(name) for name in names], names)


def rows_of(number: int, tokens: int, vocabulary: int, seed: int = 0) -> tuple[tuple[int, ...], ...]:
    """So many rows of about so many tokens, no special ones."""
    drawn = random.Random(seed)
    lengths = [max(1, round(tokens * drawn.uniform(1 - _SPREAD, 1 + _SPREAD))) for _ in range(number)]
    return tuple(ids_of(length, vocabulary, drawn) for length in lengths)


def ids_of(length: int, vocabulary: int, drawn: random.Random) -> tuple[int, ...]:
    """Ordinary tokens: special ones stand first or last in the vocabularies used here."""
    return tuple(drawn.choices(range(vocabulary // 8, vocabulary * 3 // 4), k=length))


def prefix_of(vocabulary: int) -> tuple[int, ...]:
    return ids_of(PREFIX, vocabulary, random.Random(1))


def is_valid(text: str) -> bool:
    """Whether a text is JSON that fits SCHEMA."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    if not isinstance(value, dict) or list(value) != [*_FIELDS, "quote"]:
        return False
    quote = value.pop("quote")
    return isinstance(quote, str) and len(quote) <= _QUOTE and all(value[k] in v for k, v in _FIELDS.items())


def valid_share(texts: Sequence[str]) -> float:
    return sum(map(is_valid, texts)) / len(texts)
