"""What the prompts of an instruction tuning show of a row."""

import json
import re

import pytest

import sparklabel as sl
from sparklabel.language_model import ModelTokenizer
from sparklabel.training.instruction.rendering import AnsweredRow, Renderer

FRUITS = ["apple", "fig", "kiwi", "lime", "pear"]
FRUIT = sl.classification("fruit", "text", FRUITS, "Which?")
MENTIONED = sl.multilabel("mentioned", "text", FRUITS, "Which?")
ROWS = [(AnsweredRow(str(i), (f"text {i}",), FRUITS[i % 5]), 0) for i in range(60)]
POOL = tuple(((f"other {i}",), f"Text: other {i}\nAnswer: lime") for i in range(9))


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return ModelTokenizer.load(tiny_model)


@pytest.fixture
def rendered(tokenizer):
    """(prompt, answer) of each row as text."""

    def render(task, rows=ROWS, *, few_shot=(0, 0), shuffle_labels=True, pool=()):
        renderer = Renderer(0, task, tokenizer, 512, few_shot, shuffle_labels, 0, pool)
        decode = tokenizer.fast.decode
        return [(decode(one[1].prompt), decode(one[1].answer[:-1]).strip()) for one in renderer.pieces(rows)]

    return render


def listed(prompt):
    """The labels in the order in which a prompt lists them."""
    return re.search(r"these labels[^:]*: ([a-z, ]+)", prompt)[1].split(", ")


def test_prompts_list_the_labels_in_many_orders_and_the_right_one_always(rendered):
    found = [(listed(prompt), answer) for prompt, answer in rendered(FRUIT)]
    assert all(answer in labels and set(labels) <= set(FRUITS) for labels, answer in found)
    assert len({tuple(labels) for labels, _ in found}) > 30
    assert {labels.index(answer) for labels, answer in found} == {0, 1, 2, 3, 4}


def test_about_half_of_the_prompts_list_every_label(rendered):
    assert 20 < sum(len(listed(prompt)) == 5 for prompt, _ in rendered(FRUIT)) < 50


def test_prompts_with_examples_list_every_label(rendered):
    found = rendered(FRUIT, few_shot=(1, 2), pool=POOL)
    assert all("Answer: lime" in prompt and sorted(listed(prompt)) == FRUITS for prompt, _ in found)


def test_a_multilabel_question_is_about_a_listed_label(rendered):
    found = rendered(MENTIONED, [(row._replace(answer=[row.answer]), copy) for row, copy in ROWS])
    assert all(answer.partition(":")[0] in listed(prompt) for prompt, answer in found)
    assert len({tuple(listed(prompt)) for prompt, _ in found}) > 100


def test_of_many_labels_one_that_applies_is_always_asked_about(rendered):
    found = rendered(MENTIONED, [(row._replace(answer=[row.answer]), copy) for row, copy in ROWS])
    asked = [answer for _, answer in found]
    assert len(asked) == 4 * len(ROWS)
    assert sum(answer.endswith(": yes") for answer in asked) == len(ROWS)


def test_a_text_is_asked_for_entities_of_the_listed_types_alone(rendered):
    kinds = sl.entities("names", "text", ["city", "person"], "Which?")
    both = [{"text": "Ann", "type": "person"}, {"text": "Rome", "type": "city"}]
    found = rendered(kinds, [(AnsweredRow(str(i), ("Ann in Rome",), both), 0) for i in range(40)])
    for prompt, answer in found:
        asked = re.search(r"types of entities are: ([a-z, ]+)", prompt)[1].split(", ")
        assert [one["type"] for one in json.loads(answer)] == [
            one for one in ("person", "city") if one in asked
        ]
    assert len({answer for _, answer in found}) == 3


def test_a_text_is_asked_for_the_listed_fields_alone_in_their_order(rendered):
    booking = sl.extraction("booking", "text", {"people": "integer", "time": "string"}, "Which?")
    rows = [(AnsweredRow(str(i), ("for 2 at 7",), {"people": 2, "time": "7"}), 0) for i in range(40)]
    found = rendered(booking, rows)
    for prompt, answer in found:
        fields = re.findall(r"^(?:- )?(people|time)\b", prompt, re.MULTILINE)
        assert list(json.loads(answer)) == fields
    assert len({answer for _, answer in found}) == 4


def test_labels_keep_their_order_if_they_are_not_to_be_shuffled(rendered):
    assert all(listed(prompt) == FRUITS for prompt, _ in rendered(FRUIT, shuffle_labels=False))


def test_a_row_is_rendered_the_same_each_time(rendered):
    assert rendered(FRUIT) == rendered(FRUIT)


def test_a_copy_of_a_row_lists_other_labels(rendered):
    again = [(row, 1) for row, _ in ROWS]
    assert rendered(FRUIT) != rendered(FRUIT, again)
