"""Lists that repeat themselves until they are cut off are ended where they begin to."""

import json

import pytest

from sparklabel.tasks.repetition import until_repetition


def cut(*items, rest=', {"text": "c'):
    """A list as it stands when the tokens are used up."""
    return json.dumps([{"text": item} for item in items])[:-1] + rest


def kept(text):
    ended = until_repetition(text)
    return None if ended is None else [item["text"] for item in json.loads(ended)]


@pytest.mark.parametrize(
    ("items", "left"),
    [
        ("abccccc", "abc"),
        ("aaaa", "a"),
        ("abababab", "ab"),
        ("xabcabcabc", "xabc"),
        ("aabbcbcbc", "aabbc"),
    ],
)
def test_a_list_ends_before_its_first_repetition(items, left):
    assert kept(cut(*items)) == list(left)


@pytest.mark.parametrize("items", ["", "a", "abc", "abcabcd", "aaa", "abca", "abcab", "abcdabc"])
def test_a_list_that_was_only_too_long_is_left_alone(items):
    assert until_repetition(cut(*items)) is None


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": 1', "words", "[", "[[[[[[[[[[[[[", "null", "[1, 2", '["a", "a']
)
def test_other_texts_have_no_repetition(text):
    assert until_repetition(text) is None


def test_the_text_before_the_repetition_stays_as_it_is():
    text = cut(*"abbbb")
    assert text.startswith(until_repetition(text)[:-1])
