"""Probabilities of choices, from the tokens that an endpoint says it could have written."""

import numpy as np
import pytest

from sparklabel.engines.openai.choice_logprobs import Token, choice_probabilities, logits_of
from sparklabel.label_trie import label_trie


def test_labels_that_share_a_token_which_the_answer_did_not_take_share_its_probability():
    choices = [b'red"', b'rose"', b'blue"']
    tokens = [Token(b'"', 0.0), Token(b"blue", np.log(0.5), ((b"r", np.log(0.5)),)), Token(b'"', 0.0)]
    assert choice_probabilities(tokens, b'"', choices) == pytest.approx([0.25, 0.25, 0.5], abs=1e-5)


def test_tokens_across_the_ends_of_a_choice_count_for_it():
    tokens = [Token(b'{"answer": "bl', np.log(0.8), ((b'{"answer": "re', np.log(0.2)),)), Token(b'ue"}', 0.0)]
    found = choice_probabilities(tokens, b'{"answer": "', [b'red"', b'blue"'])
    assert found == pytest.approx([0.2, 0.8], abs=1e-5)


def test_an_answer_in_unusual_tokens_leaves_other_choices_the_tokens_that_they_are_usually_made_of():
    offered = ((b"c", np.log(0.5)), (b"card", np.log(0.3)), (b"cancel", np.log(0.2)))
    tokens = [Token(b'"', 0.0), Token(b"c", np.log(0.5), offered), Token(b"ancel", 0.0), Token(b'"', 0.0)]
    found = choice_probabilities(tokens, b'"', [b'cancel"', b'card"'])
    assert found == pytest.approx([5 / 8, 3 / 8], abs=1e-5)


def test_what_follows_a_choice_does_not_count():
    quotes = ((b'"', np.log(0.5)), (b'"}', np.log(0.3)), (b"ish", np.log(0.2)))
    tokens = [Token(b'"red', 0.0), Token(b'"', np.log(0.5), quotes), Token(b"\n}", 0.0)]
    assert choice_probabilities(tokens, b'"', [b'red"', b'reddish"']) == pytest.approx([1, 0], abs=1e-5)
    assert choice_probabilities(tokens, b'"', [b'red"', b'redish"']) == pytest.approx(
        [5 / 7, 2 / 7], abs=1e-5
    )


def test_tokens_that_leave_every_choice_give_no_probabilities():
    assert choice_probabilities([Token(b'"green"', 0.0)], b'"', [b'red"', b'blue"']) is None


def test_the_tries_logits_give_the_probabilities_back():
    trie = label_trie([list(map(ord, name)) for name in ("good", "good enough", "bad", "go")], list("abcd"))
    known = np.array([0.5, 0.3, 0.15, 0.05])
    assert np.exp(trie.log_probabilities(logits_of(trie, known)[None]))[0] == pytest.approx(known, abs=1e-6)
