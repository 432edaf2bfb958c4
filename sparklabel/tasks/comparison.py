"""How similar two answers are: texts ignoring case and whitespace, and by the words that they share.

In: two values of one field or answer, plain Python. Out: true or false, or a share in [0, 1].
"""

import math
import string
import unicodedata
from collections import Counter
from typing import Any

from sparklabel.texts import composed

_ARTICLES = frozenset({"a", "an", "the"})


def fold_case(text: str) -> str:
    """The text in one case and one of Unicode's forms, with single blanks."""
    return " ".join(composed(composed(text).casefold()).split())


def alike(gold: Any, value: Any) -> bool:
    """Whether two values of a field mean the same. Numbers may differ by rounding, the order of a list does not count,
    and None, an empty text and an empty list are equal."""
    if _is_nothing(gold) or _is_nothing(value):
        return _is_nothing(gold) and _is_nothing(value)
    if isinstance(gold, list) and isinstance(value, list):
        return Counter(map(_key, gold)) == Counter(map(_key, value))
    if isinstance(gold, int | float) and isinstance(value, int | float):
        return math.isclose(gold, value, rel_tol=1e-9)
    return _key(gold) == _key(value)


def answer_words(text: str) -> list[str]:
    """The words that SQuAD compares (Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1): in lower case, without
    punctuation (of any language here), and without English articles."""
    kept = "".join(character for character in composed(text).lower() if not _is_punctuation(character))
    return [word for word in kept.split() if word not in _ARTICLES]


def word_f1(gold: Any, value: Any) -> float:
    """SQuAD's F1 over the words of two answers. None means "no answer", which is right only if gold is None too
    (Rajpurkar et al. 2018, arXiv:1806.03822). Other values are compared as text, a list as its items joined."""
    if _is_nothing(gold) or _is_nothing(value):
        return float(_is_nothing(gold) and _is_nothing(value))
    ours, theirs = answer_words(_text(gold)), answer_words(_text(value))
    if not ours or not theirs:
        return float(ours == theirs)
    return f1((Counter(ours) & Counter(theirs)).total(), len(ours), len(theirs))


def text_agreement(gold: str, value: str) -> float:
    """1 for the same text ignoring case and whitespace, or an exact match in the sense of SQuAD. Otherwise the F1 of
    the words, below 1: the same words in another order are not the same text, nor are 3.5 and 35."""
    ours, theirs = answer_words(gold), answer_words(value)
    has_number = any(character.isdigit() for word in ours for character in word)
    if fold_case(gold) == fold_case(value) or (ours == theirs and not has_number):
        return 1.0
    return min(word_f1(gold, value), 0.99)


def f1(hits: float, in_gold: int, in_value: int) -> float:
    """The harmonic mean of hits / in_value (precision) and hits / in_gold (recall); 1 if there was nothing to find and
    nothing was found."""
    return 2 * hits / (in_gold + in_value) if in_gold + in_value else 1.0


def _is_nothing(value: Any) -> bool:
    return value is None or value == "" or value == []


def _key(value: Any) -> str:
    return fold_case(_text(value))


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")
