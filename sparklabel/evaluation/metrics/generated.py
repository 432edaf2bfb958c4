"""Metrics of the generated kinds: how much of what people wrote a model wrote too.

In: for each row the gold value, the predicted value and whether the row was completed, in plain Python (dicts, lists,
text, None). Out: metrics by name, each in [0, 1]. A row that was not completed counts as wrong. A metric that no row
applies to is left out. Kinds that are scored are measured by `scored_metrics`.

Sources: exact match and F1 of answers as in SQuAD (Rajpurkar et al. 2016, arXiv:1606.05250; for questions without an
answer 2018, arXiv:1806.03822). Spans as in SemEval-2013 task 9.1 (Segura-Bedmar et al. 2013). Strict: boundaries and
type are right. Partial: overlapping boundaries count half, whatever the type, after MUC (Chinchor and Sundheim 1993).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sparklabel.tasks.comparison import alike, answer_words, f1, fold_case, word_f1
from sparklabel.tasks.entities import equal_entities

MetricValues = dict[str, float]
Rows = list[tuple[Any, Any, bool]]
"""Gold, predicted, completed."""


def generated_metrics(
    name: str, gold: Sequence[Any], predicted: Sequence[Any], completed: Sequence[bool]
) -> MetricValues:
    """The metrics of a kind, which `name` says (`Generated.metrics`).

    Raises:
        KeyError: There are no metrics with this name.
        ValueError: There are no rows.
    """
    rows = list(zip(gold, predicted, completed, strict=True))
    if not rows:
        raise ValueError("there are no rows to measure")
    return _BY_NAME[name](rows)


def _extraction(rows: Rows) -> MetricValues:
    """`exact` is the share of rows whose every field is right. For each field, `field_exact` is the share of rows where
    it is right, and `field_partial` the mean F1 of its words."""
    fields = list(rows[0][0])
    right = {f: [done and alike(gold[f], value[f]) for gold, value, done in rows] for f in fields}
    part = {f: [_partial(gold[f], value[f]) if done else 0.0 for gold, value, done in rows] for f in fields}
    return {
        "exact": _mean([all(row) for row in zip(*right.values(), strict=True)]),
        **{f"field_exact.{f}": _mean(right[f]) for f in fields},
        **{f"field_partial.{f}": _mean(part[f]) for f in fields},
    }


def _partial(gold: Any, value: Any) -> float:
    """The F1 of the words. Non-text values score 1 or 0."""
    return 1.0 if alike(gold, value) else word_f1(gold, value) if isinstance(gold, str | list) else 0.0


def _entities(rows: Rows) -> MetricValues:
    """Micro averages over the spans of all rows; 1 if gold has no spans and none were predicted."""
    answers = [(gold, value if done else []) for gold, value, done in rows]
    support, predicted = (sum(len(answer[side]) for answer in answers) for side in (0, 1))
    metrics: MetricValues = {}
    for scheme, hits in (("strict", equal_entities), ("partial", _partial_hits)):
        hit = sum(hits(gold, value) for gold, value in answers)
        metrics |= {
            f"{scheme}_precision": hit / predicted if predicted else float(not support),
            f"{scheme}_recall": hit / support if support else float(not predicted),
            f"{scheme}_f1": f1(hit, support, predicted),
        }
    # A failed row whose gold has no entities changes none of the above; it shows only here.
    exact = [done and len(gold) == len(value) == equal_entities(gold, value) for gold, value, done in rows]
    return {**metrics, "exact": _mean(exact)}


def _partial_hits(gold: list[dict[str, Any]], value: list[dict[str, Any]]) -> float:
    """The total credit of the best one-to-one assignment of predicted spans to gold spans."""
    if not gold or not value:
        return 0.0
    from scipy.optimize import linear_sum_assignment

    credit = np.array([[_credit(span, other) for other in value] for span in gold])
    return float(credit[linear_sum_assignment(credit, maximize=True)].sum())


def _credit(gold: dict[str, Any], value: dict[str, Any]) -> float:
    """1 for the same boundaries, 0.5 for an overlap. Texts are compared if either span has no offsets."""
    if gold.get("start") is not None and value.get("start") is not None:
        ours, theirs = ((e["start"], e["start"] + len(e["text"])) for e in (gold, value))
        return 1.0 if ours == theirs else 0.5 * (ours[0] < theirs[1] and theirs[0] < ours[1])
    text, other = fold_case(gold["text"]), fold_case(value["text"])
    return 1.0 if text == other else 0.5 * (text in other or other in text)


def _answering(rows: Rows) -> MetricValues:
    """SQuAD 2.0, where "no answer" is right for a question without one. `has_answer_f1` is over the questions that have
    an answer, `no_answer_accuracy` over the others."""
    f1s = [word_f1(gold, value) if done else 0.0 for gold, value, done in rows]
    has = [f for f, (gold, _, _) in zip(f1s, rows, strict=True) if gold is not None]
    none = [f for f, (gold, _, _) in zip(f1s, rows, strict=True) if gold is None]
    return {
        "exact_match": _mean([done and _same_words(gold, value) for gold, value, done in rows]),
        "f1": _mean(f1s),
        **({"has_answer_f1": _mean(has)} if has else {}),
        **({"no_answer_accuracy": _mean(none)} if none else {}),
    }


def _generation(rows: Rows) -> MetricValues:
    """`exact_match` ignores case and whitespace."""
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


_BY_NAME: dict[str, Callable[[Rows], MetricValues]] = {
    "extraction": _extraction, "entities": _entities, "answering": _answering, "generation": _generation,
}  # fmt: skip
