"""Measures of generated answers: how much of what people wrote a model wrote too.

In: for each row the gold value, the predicted value and whether the row was completed, in plain Python (dicts, lists,
text, None). Out: figures by name, each in [0, 1]. A row that was not completed counts as wrong. A figure that no row
says anything of is left out.

Sources: exact match and F1 of answers as in SQuAD (Rajpurkar et al. 2016, arXiv:1606.05250; without an answer, 2018,
arXiv:1806.03822). Spans as in SemEval-2013 task 9.1 (Segura-Bedmar et al. 2013): strict, the boundaries and the type
are right; partial, boundaries that overlap count half, whatever the type, after MUC (Chinchor and Sundheim 1993).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sparklabel.tasks.comparison import alike, answer_words, f1, normalised, word_f1
from sparklabel.tasks.entities import entity_keys

Figures = dict[str, float]
Rows = list[tuple[Any, Any, bool]]
"""Gold, predicted, completed."""


def generated_metrics(
    name: str, gold: Sequence[Any], predicted: Sequence[Any], completed: Sequence[bool]
) -> Figures:
    """The figures of the measures called `name` (`Generated.metrics`). Raises KeyError for an unknown name, and
    ValueError without rows."""
    rows = list(zip(gold, predicted, completed, strict=True))
    if not rows:
        raise ValueError("there are no rows to measure")
    return _MEASURES[name](rows)


def _extraction(rows: Rows) -> Figures:
    """`exact`: every field is right; for each field the share of rows where it is, and the mean F1 of its words."""
    fields = list(rows[0][0])
    right = {f: [done and alike(gold[f], value[f]) for gold, value, done in rows] for f in fields}
    part = {f: [_partial(gold[f], value[f]) if done else 0.0 for gold, value, done in rows] for f in fields}
    return {
        "exact": _mean([all(row) for row in zip(*right.values(), strict=True)]),
        **{f"field_exact.{f}": _mean(right[f]) for f in fields},
        **{f"field_partial.{f}": _mean(part[f]) for f in fields},
    }


def _partial(gold: Any, value: Any) -> float:
    """What is no text is right or wrong."""
    return 1.0 if alike(gold, value) else word_f1(gold, value) if isinstance(gold, str | list) else 0.0


def _entities(rows: Rows) -> Figures:
    """Over the spans of all rows (micro averages); no spans anywhere, and none found, is 1."""
    answers = [(gold, value if done else []) for gold, value, done in rows]
    in_gold, found = (sum(len(answer[side]) for answer in answers) for side in (0, 1))
    figures: Figures = {}
    for kind, hits in (("strict", _strict_hits), ("partial", _partial_hits)):
        hit = sum(hits(gold, value) for gold, value in answers)
        figures |= {
            f"{kind}_precision": hit / found if found else float(not in_gold),
            f"{kind}_recall": hit / in_gold if in_gold else float(not found),
            f"{kind}_f1": f1(hit, in_gold, found),
        }
    # A failed row without entities finds nothing and misses nothing; here it shows.
    figures["exact"] = _mean([
        done and len(gold) == len(value) == _strict_hits(gold, value) for gold, value, done in rows
    ])  # fmt: skip
    return figures


def _strict_hits(gold: list[dict[str, Any]], value: list[dict[str, Any]]) -> float:
    ours, theirs = entity_keys(gold, value)
    return (ours & theirs).total()


def _partial_hits(gold: list[dict[str, Any]], value: list[dict[str, Any]]) -> float:
    """The most credit of all ways to give each gold span one of the found spans, and each of these to one."""
    if not gold or not value:
        return 0.0
    from scipy.optimize import linear_sum_assignment

    credit = np.array([[_credit(entity, other) for other in value] for entity in gold])
    return float(credit[linear_sum_assignment(credit, maximize=True)].sum())


def _credit(gold: dict[str, Any], value: dict[str, Any]) -> float:
    """1 for the same boundaries, 0.5 for an overlap; by the text where one of the two has no place."""
    if gold.get("start") is not None and value.get("start") is not None:
        ours, theirs = ((e["start"], e["start"] + len(e["text"])) for e in (gold, value))
        return 1.0 if ours == theirs else 0.5 * (ours[0] < theirs[1] and theirs[0] < ours[1])
    text, other = normalised(gold["text"]), normalised(value["text"])
    return 1.0 if text == other else 0.5 * (text in other or other in text)


def _answering(rows: Rows) -> Figures:
    """SQuAD 2.0: no answer is right where there is none. `has_answer_f1` is over the questions that have one,
    `no_answer_accuracy` over the others."""
    f1s = [word_f1(gold, value) if done else 0.0 for gold, value, done in rows]
    has = [f for f, (gold, _, _) in zip(f1s, rows, strict=True) if gold is not None]
    none = [f for f, (gold, _, _) in zip(f1s, rows, strict=True) if gold is None]
    return {
        "exact_match": _mean([done and _same_words(gold, value) for gold, value, done in rows]),
        "f1": _mean(f1s),
        **({"has_answer_f1": _mean(has)} if has else {}),
        **({"no_answer_accuracy": _mean(none)} if none else {}),
    }


def _generation(rows: Rows) -> Figures:
    """`exact_match` is up to case and blanks."""
    return {
        "exact_match": _mean([done and alike(gold, value) for gold, value, done in rows]),
        "f1": _mean([word_f1(gold, value) if done else 0.0 for gold, value, done in rows]),
    }


def _same_words(gold: str | None, value: str | None) -> bool:
    if gold is None or value is None:
        return gold is value
    return answer_words(gold) == answer_words(value)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_MEASURES: dict[str, Callable[[Rows], Figures]] = {
    "extraction": _extraction, "entities": _entities, "answering": _answering, "generation": _generation,
}  # fmt: skip
