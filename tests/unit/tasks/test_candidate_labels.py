"""A long list of labels: each row is offered those nearest to it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel import classification, load_task
from sparklabel.engines.fake import ByteTokenizer, FakeEngine
from sparklabel.errors import TaskError
from sparklabel.label_trie import label_trie
from sparklabel.labeler import Labeler, PreparedTask
from tests.unit.few_shot.test_few_shot import Letters, Spy

LABELS = ["aaaa", "bbbb", "cccc", "dddd", "abab", "cdcd"]


def topic(count=2, labels=LABELS, **fields):
    return classification("topic", "text", labels, "Say which.", candidates=count, **fields)


def labels_of(task, rows, engine=None):
    return Labeler(task, engine or FakeEngine(), model="m", open_encoder=Letters).label(
        [[row] for row in rows]
    )


def test_a_row_is_offered_the_labels_nearest_to_it_the_nearest_first():
    engine = Spy()
    labels_of(topic(), ["aaab", "cccd"], engine)
    assert "aaaa" not in engine.prefix
    assert ["Labels: aaaa, abab." in engine.rows[0], "Labels: cccc, cdcd." in engine.rows[1]] == [True, True]


def test_descriptions_are_offered_with_their_labels():
    engine = Spy()
    labels_of(topic(labels={"one": "aaaa", "two": "bbbb", "six": "cccc"}), ["aaa"], engine)
    assert "Labels:\n- one: aaaa" in engine.rows[0]


def test_only_what_was_offered_can_be_answered_and_its_probabilities_sum_to_one():
    for label in labels_of(topic(3), ["aab", "cdd", "dddd", "zz"]):
        assert len(label.alternatives) == 3
        assert math.isclose(sum(a.probability for a in label.alternatives), 1)


def test_a_prior_for_labels_that_differ_from_row_to_row_is_refused():
    with pytest.raises(TaskError, match="prior= and candidates= cannot be combined"):
        topic(3, prior="content_free")


@given(st.data())
def test_offering_some_labels_gives_what_the_trie_of_these_alone_would(data):
    letters = st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple)
    paths = data.draw(st.lists(letters, min_size=2, max_size=7, unique=True))
    some = data.draw(st.lists(st.sampled_from(range(len(paths))), min_size=1, unique=True).map(sorted))
    whole, part = (
        label_trie(paths, list(map(str, paths))),
        label_trie([paths[n] for n in some], list(map(str, some))),
    )
    scores = {
        (where(whole, o), whole.option_tokens[o]): float(o) / 3 for o in range(len(whole.option_tokens))
    }
    mask = np.zeros((1, len(paths)), dtype=bool)
    mask[0, some] = True
    logits = np.array([[o / 3 for o in range(len(whole.option_tokens))]], dtype=np.float32)
    own = [[scores[where(part, o), part.option_tokens[o]] for o in range(len(part.option_tokens))]]
    found = whole.log_probabilities(logits, mask)[0, some]
    np.testing.assert_allclose(found, part.log_probabilities(np.array(own, dtype=np.float32))[0], atol=1e-6)


def where(trie, option):
    """The tokens that lead to where an option is read."""
    path, place = [], trie.option_positions[option]
    while place >= 0:
        path.insert(0, trie.tree_tokens[place])
        place = trie.tree_parents[place]
    return tuple(path)


def test_the_count_is_part_of_the_fingerprint_and_of_yaml(tmp_path):
    assert topic(2).fingerprint != topic(3).fingerprint
    path = tmp_path / "topic.yaml"
    path.write_text(topic(3).to_yaml())
    assert load_task(path) == topic(3)


@pytest.mark.parametrize("count", [1, 0, 6, "two"])
def test_a_count_that_offers_no_choice_or_every_label_is_refused(count):
    with pytest.raises(TaskError, match="candidates"):
        topic(count)


def test_labels_that_do_not_fit_name_the_way_out_and_then_fit():
    many = [f"label number {n}" for n in range(800)]
    with pytest.raises(TaskError, match=r"candidates=20"):
        PreparedTask.of(classification("topic", "text", many), ByteTokenizer())
    PreparedTask.of(topic(20, many), ByteTokenizer())


def test_candidates_that_do_not_fit_either_are_refused():
    wordy = {f"label {n}": "word " * 200 for n in range(20)}
    with pytest.raises(TaskError, match=r"10 labels with their descriptions can take"):
        PreparedTask.of(topic(10, wordy), ByteTokenizer())
