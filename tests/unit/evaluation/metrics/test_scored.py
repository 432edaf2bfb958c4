"""The metrics of scored kinds: the figures that our own code gave before scikit-learn computed them."""

from collections import Counter
from dataclasses import astuple, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparklabel import classification, matching, multilabel, rating
from sparklabel.evaluation.metrics.scored import LabelScore, scored_metrics

VERDICT = classification("verdict", "text", ["bad", "good", "odd"]).answer_mode
TOPICS = multilabel("topics", "text", ["art", "sports", "war"]).answer_mode
ONE_TOPIC = multilabel("topics", "text", ["art"]).answer_mode
SAME = matching("same", "a", "b").answer_mode
STARS = rating("stars", "text", (1, 5)).answer_mode


def rows(values):
    """60 rows of gold, predicted, and whether the row was completed; about half of them agree, every seventh fails."""
    for i in range(60):
        gold = values[(i * i if i % 2 else i * 7 // 3) % len(values)]
        yield gold, values[(i * i + i // 5) % len(values)] if i % 3 else gold, i % 7 != 3


EARLIER = {
    "two of three labels": (
        VERDICT, ["bad", "good"], {"macro_f1": 0.6125740618828177},
        [("bad", 20, 29, 0.5172413793103449, 0.75, 0.6122448979591837),
         ("good", 40, 22, 0.8636363636363636, 0.475, 0.6129032258064516)],
    ),
    "gold that is not a label": (
        VERDICT, ["bad", "good", "odd", "elsewhere"], {"macro_f1": 0.4688235294117647},
        [("bad", 10, 14, 0.35714285714285715, 0.5, 0.4166666666666667),
         ("good", 35, 16, 0.8125, 0.37142857142857144, 0.5098039215686274),
         ("odd", 10, 15, 0.4, 0.6, 0.48)],
    ),
    "lists": (
        TOPICS, [[], ["art"], ["art", "war"], ["sports", "war"], ["art", "war"]],
        {"macro_f1": 0.5993135993135993, "micro_f1": 0.6620689655172414},
        [("art", 42, 32, 0.8125, 0.6190476190476191, 0.7027027027027027),
         ("sports", 6, 8, 0.375, 0.5, 0.42857142857142855),
         ("war", 30, 27, 0.7037037037037037, 0.6333333333333333, 0.6666666666666666)],
    ),
    "lists of a single label": (
        ONE_TOPIC, [[], ["art"]], {"macro_f1": 0.6129032258064516, "micro_f1": 0.6129032258064516},
        [("art", 40, 22, 0.8636363636363636, 0.475, 0.6129032258064516)],
    ),
    "matches": (
        SAME, [True, False], {"f1": 0.6122448979591837, "precision": 0.5172413793103449, "recall": 0.75},
        [("True", 20, 29, 0.5172413793103449, 0.75, 0.6122448979591837),
         ("False", 40, 22, 0.8636363636363636, 0.475, 0.6129032258064516)],
    ),
    "ratings": (
        STARS, [1, 2, 3, 4, 5, 2.4], {"mae": 0.9058823529411765, "within_one": 0.6166666666666667}, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("mode", "values", "metrics", "labels"), EARLIER.values(), ids=EARLIER)
def test_the_figures_are_those_of_the_code_before(mode, values, metrics, labels):
    scores, found = scored_metrics(mode, *zip(*rows(values), strict=True))
    assert found == pytest.approx(metrics, rel=1e-12)
    assert [score.label for score in scores] == [label[0] for label in labels]
    for score, label in zip(scores, labels, strict=True):
        assert (score.support, score.predicted) == label[1:3]
        assert (score.precision, score.recall, score.f1) == pytest.approx(label[3:], rel=1e-12)


ANSWERS = st.tuples(
    st.sampled_from(["bad", "good", "odd", "elsewhere"]),
    st.sampled_from(["bad", "good", "odd"]),
    st.booleans(),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(ANSWERS, min_size=1, max_size=30))
def test_label_scores_are_what_counting_gives(answers):
    scores, metrics = scored_metrics(VERDICT, *zip(*answers, strict=True))
    support = Counter(gold for gold, _, _ in answers)
    predicted = Counter(value for _, value, done in answers if done)
    hits = Counter(value for gold, value, done in answers if done and gold == value)
    counted = [
        LabelScore(
            label, support[label], predicted[label], share(hits[label], predicted[label]),
            share(hits[label], support[label]), share(2 * hits[label], predicted[label] + support[label]),
        )
        for label in ("bad", "good", "odd")
        if support[label] or predicted[label]
    ]  # fmt: skip
    assert [astuple(s)[:3] for s in scores] == [astuple(s)[:3] for s in counted]
    for score, expected in zip(scores, counted, strict=True):
        assert astuple(score)[3:] == pytest.approx(astuple(expected)[3:])
    in_gold = [score.f1 for score in counted if score.support]
    assert metrics["macro_f1"] == pytest.approx(share(sum(in_gold), len(in_gold)))


def share(part, whole):
    return part / whole if whole else 0.0


def test_without_any_label_in_gold_or_answers_the_f1s_are_0():
    scores, metrics = scored_metrics(TOPICS, [[], []], [[], []], [True, False])
    assert (scores, metrics) == ((), {"macro_f1": 0.0, "micro_f1": 0.0})


def test_metrics_of_an_unknown_name_are_refused():
    with pytest.raises(ValueError, match="unknown metrics: 'taste'"):
        scored_metrics(replace(VERDICT, metrics="taste"), ["bad"], ["bad"], [True])
