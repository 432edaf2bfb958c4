"""A label trie, divided into branches."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparklabel.label_trie import PROMPT, label_trie
from sparklabel.language_model.token_tree import branches

PATHS = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple), min_size=1, max_size=8, unique=True
)


def node_of(trie, place):
    """The tokens on the way to a place of the trie."""
    return () if place == PROMPT else (*node_of(trie, trie.tree_parents[place]), trie.tree_tokens[place])


@given(PATHS)
def test_branches_hold_each_option_after_the_first_token_once_and_see_their_ancestors(paths):
    trie = label_trie(paths, list(map(str, paths)))
    divided = branches(trie)
    later = [option for option, place in enumerate(trie.option_positions) if place != PROMPT]
    assert sorted(option for branch in divided for option in branch.options) == (later if divided else [])
    for branch in divided:
        assert branch.tokens[0] == trie.option_tokens[branch.option]
        for option, place in zip(branch.options, branch.read_at, strict=True):
            seen = tuple(np.array(branch.tokens)[branch.sees[place]])
            assert seen == node_of(trie, trie.option_positions[option])


def test_a_trie_of_several_questions_is_not_divided():
    paths = [(1, 2), (1, 3), (4, 2), (4, 3)]
    assert len(branches(label_trie(paths, list(map(str, paths))))) == 2
    assert branches(label_trie(paths, list(map(str, paths)), (2, 2))) == ()
