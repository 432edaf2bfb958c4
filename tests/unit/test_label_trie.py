"""The label trie against a slow reference: the product of softmaxes over the allowed continuations."""

import math
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel.errors import TaskError
from sparklabel.label_trie import END, PROMPT, label_trie

PATHS = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple), min_size=1, max_size=8, unique=True
)


def trie_of(paths):
    return label_trie(paths, [f"label {n}" for n in range(len(paths))])


def score(node, token, seed):
    """A logit for every continuation of every node, of a model that does not exist."""
    return math.sin(hash((node, token, seed)) % 10_000) * 6


def slow_probabilities(paths, seed):
    """For each label, walked token by token: allowed continuations counted anew at every node."""
    found = []
    for path in paths:
        probability = 1.0
        for depth in range(len(path) + 1):
            node = path[:depth]
            allowed = {(*other, END)[depth] for other in paths if other[:depth] == node}
            weights = {token: math.exp(score(node, token, seed)) for token in allowed}
            probability *= weights[(*path, END)[depth]] / sum(weights.values())
        found.append(probability)
    return found


def node_of(trie, place):
    """The tokens on the way to a place of the trie."""
    return () if place == PROMPT else (*node_of(trie, trie.tree_parents[place]), trie.tree_tokens[place])


def option_logits(trie, seed):
    options = zip(trie.option_positions, trie.option_tokens, strict=True)
    return np.array([score(node_of(trie, place), token, seed) for place, token in options], dtype=np.float32)


def probabilities(trie, seed):
    return np.exp(trie.log_probabilities(option_logits(trie, seed)[None]))[0]


@given(PATHS, st.integers(0, 99))
def test_probabilities_equal_the_slow_reference_and_sum_to_one(paths, seed):
    found = probabilities(trie_of(paths), seed)
    assert found == pytest.approx(slow_probabilities(paths, seed), abs=1e-5)
    assert found.sum() == pytest.approx(1.0)


@given(PATHS, st.integers(0, 99), st.data())
def test_candidates_get_what_a_trie_of_these_alone_gives(paths, seed, data):
    some = sorted(data.draw(st.sets(st.sampled_from(range(len(paths))), min_size=1)))
    trie, rows = trie_of(paths), 3
    logits = np.array([option_logits(trie, seed)] * rows)
    candidates = np.zeros((rows, len(paths)), dtype=bool)
    candidates[1:, some] = True
    candidates[0] = True
    found = np.exp(trie.log_probabilities(logits, candidates))
    assert found[0] == pytest.approx(probabilities(trie, seed))
    for row in found[1:]:
        assert row[some] == pytest.approx(slow_probabilities([paths[n] for n in some], seed), abs=1e-5)
        assert row.sum() == pytest.approx(1.0)


def test_a_trie_that_was_used_travels_as_light_as_a_new_one():
    trie = trie_of([(1, 2), (1, 3), (4,)])
    new = pickle.dumps(trie)
    used = probabilities(trie, 0)
    assert pickle.dumps(trie) == new
    np.testing.assert_array_equal(probabilities(pickle.loads(new), 0), used)


def test_ten_thousand_labels_take_little_memory_and_no_time_for_those_that_are_no_candidates():
    paths = [(n // 400, n // 20 % 20, n % 20) for n in range(10_000)]
    trie = trie_of(paths)
    logits = np.zeros((1000, len(trie.option_tokens)), dtype=np.float32)
    candidates = np.zeros((1000, 10_000), dtype=bool)
    candidates[:, ::500] = True
    # A product of a row's candidates with all options took 0.35 s a row: this would run for six minutes.
    assert np.exp(trie.log_probabilities(logits, candidates)).sum(axis=1) == pytest.approx(np.ones(1000))
    tracemalloc.start()
    trie.log_probabilities(logits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000_000


@given(PATHS, st.integers(0, 99))
def test_only_branching_nodes_are_read(paths, seed):
    trie = trie_of(paths)
    branches = [trie.option_branches.count(branch) for branch in set(trie.option_branches)]
    assert all(options > 1 for options in branches)
    assert len(branches) <= len(paths) - 1


@given(PATHS, st.integers(0, 99))
def test_the_steps_of_a_label_are_the_options_on_its_route(paths, seed):
    trie = trie_of(paths)
    for label, path in enumerate(paths):
        steps = trie.steps(label)
        assert [step.options[step.target] for step in steps] == [
            trie.option_tokens[o] for o in trie.label_paths[label]
        ]
        assert [step.depth for step in steps] == [
            len(node_of(trie, trie.option_positions[o])) for o in trie.label_paths[label]
        ]
        for step in steps:
            allowed = {
                (*other, END)[step.depth] for other in paths if other[: step.depth] == path[: step.depth]
            }
            assert set(step.options) == allowed


@given(PATHS)
def test_a_parent_comes_before_its_children_and_leads_to_a_branch(paths):
    trie = trie_of(paths)
    assert all(parent < node for node, parent in enumerate(trie.tree_parents))
    assert set(range(len(trie.tree_tokens))) <= {*trie.option_positions, *trie.tree_parents}
    assert trie.tree_depth == max((len(node_of(trie, place)) for place in trie.option_positions), default=0)


GROUPS = st.lists(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple), min_size=1, max_size=4),
    min_size=1, max_size=4,
).filter(lambda groups: len({path for group in groups for path in group}) == sum(map(len, groups)))  # fmt: skip


def grouped(groups):
    paths = [path for group in groups for path in group]
    return label_trie(paths, [f"label {n}" for n in range(len(paths))], [len(group) for group in groups])


@given(GROUPS, st.integers(0, 99))
def test_each_group_has_the_probabilities_that_it_has_alone_and_sums_to_one(groups, seed):
    found = probabilities(grouped(groups), seed)
    ends = np.cumsum([len(group) for group in groups])
    for group, part in zip(groups, np.split(found, ends[:-1]), strict=True):
        assert part == pytest.approx(slow_probabilities(group, seed), abs=1e-5)
        assert part.sum() == pytest.approx(1.0)


@given(GROUPS)
def test_groups_share_the_tokens_that_they_begin_with(groups):
    trie = grouped(groups)
    nodes = [node_of(trie, place) for place in range(len(trie.tree_tokens))]
    assert len(set(nodes)) == len(nodes)


@given(GROUPS)
def test_the_steps_of_a_label_are_those_of_its_group(groups):
    trie, labels = grouped(groups), iter(range(99))
    for group in groups:
        alone = trie_of(group)
        assert all(trie.steps(next(labels)) == alone.steps(label) for label in range(len(group)))


def test_yes_and_no_of_two_labels_are_read_in_one_tree():
    trie = label_trie([(8, 1), (8, 0), (9, 1), (9, 0)], ["a: yes", "a: no", "b: yes", "b: no"], [2, 2])
    assert (trie.tree_tokens, trie.tree_parents) == ((8, 9), (PROMPT, PROMPT))
    assert (trie.option_positions, trie.option_tokens) == ((0, 0, 1, 1), (1, 0, 1, 0))


def test_labels_that_are_the_same_tokens_are_refused_across_groups_too():
    with pytest.raises(TaskError, match="'a' and 'b' are the same tokens"):
        label_trie([(1,), (2,), (1,)], ["a", "c", "b"], [2, 1])


def test_a_single_label_has_probability_1_and_asks_nothing():
    trie = trie_of([(1, 2, 3)])
    assert trie.option_tokens == trie.tree_tokens == ()
    assert np.exp(trie.log_probabilities(np.zeros((2, 0), np.float32))).tolist() == [[1.0], [1.0]]
    assert trie.steps(0) == ()


def test_a_label_that_is_a_prefix_of_another_competes_by_its_end():
    trie = trie_of([(7,), (7, 8)])
    assert (trie.tree_tokens, trie.option_tokens) == ((7,), (END, 8))
    assert np.exp(trie.log_probabilities(np.log([[0.9, 0.3]], dtype=np.float32)))[0] == pytest.approx(
        [0.75, 0.25]
    )


def test_a_constant_added_at_a_node_changes_nothing():
    trie = trie_of([(1, 2), (1, 3), (4,)])
    logits = np.array([[0.5, 1.5, -1.0, 2.0]], dtype=np.float32)
    shift = np.array([100.0 if branch else -200.0 for branch in trie.option_branches], dtype=np.float32)
    assert trie.log_probabilities(logits + shift) == pytest.approx(trie.log_probabilities(logits), abs=1e-5)


def test_labels_that_are_the_same_tokens_are_refused_by_name():
    with pytest.raises(TaskError, match="'good' and 'Good' are the same tokens"):
        label_trie([(1, 2), (3,), (1, 2)], ["good", "bad", "Good"])


def test_a_label_without_tokens_is_refused_by_name():
    with pytest.raises(TaskError, match="'bad' has no tokens"):
        label_trie([(1,), ()], ["good", "bad"])
