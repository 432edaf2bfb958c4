"""Quotes of a model, found in the text that it read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel.tasks.spans import aligned


def found(quotes, text):
    return [span and text[slice(*span)] for span in aligned(quotes, text)]


def test_a_quote_is_found_where_it_stands():
    assert aligned(["met Bob"], "Ada met Bob.") == [(4, 11)]


def test_places_count_characters_not_bytes():
    assert aligned(["Bob"], "Zoë 👩‍🚀 Bob") == [(8, 11)]


def test_a_repeated_quote_finds_the_next_occurrence():
    assert aligned(["Bob", "Bob"], "Bob and Bob") == [(0, 3), (8, 11)]


def test_a_quote_beyond_the_last_occurrence_is_not_found():
    assert aligned(["Bob", "Bob"], "Bob") == [(0, 3), None]


def test_a_quote_that_is_not_there_is_not_found():
    assert aligned(["Eve", "", " "], "Bob and others") == [None, None, None]


def test_the_same_characters_come_before_others_of_another_case():
    assert aligned(["bob"], "BOB and bob") == [(8, 11)]


def test_case_and_blanks_may_differ_and_the_texts_own_are_taken():
    assert found(["new york city"], "in New  York\nCity today") == ["New  York\nCity"]


def test_a_whole_word_comes_before_a_part_of_one():
    assert aligned(["Ann"], "Anna met Ann") == [(9, 12)]


def test_a_part_of_a_word_is_found_where_nothing_else_is():
    assert aligned(["work"], "the workers") == [(4, 8)]


def test_free_text_comes_before_text_that_is_taken():
    assert aligned(["New York", "York"], "New York, not York") == [(0, 8), (14, 18)]


def test_a_quote_may_lie_inside_another():
    assert aligned(["Bank of China", "China"], "the Bank of China") == [(4, 17), (12, 17)]


@pytest.mark.parametrize("quote", ["a.c", "(", "\\d", "[x]"])
def test_a_quote_is_no_pattern(quote):
    assert found([quote.upper()], f"abc {quote} 12") == [quote]


@given(st.lists(st.text("aAb ", max_size=4), max_size=6), st.text("aAb \n", max_size=20))
def test_spans_are_distinct_and_hold_what_was_quoted(quotes, text):
    spans = aligned(quotes, text)
    kept = [(q, s) for q, s in zip(quotes, spans, strict=True) if s]
    assert len({s for _, s in kept}) == len(kept)
    assert all(text[s[0] : s[1]].casefold().split() == q.casefold().split() for q, s in kept)
    assert all(s is None or s[0] < s[1] for s in spans)


@given(st.text(max_size=20), st.text(min_size=1, max_size=5), st.text(max_size=20))
def test_what_stands_in_the_text_is_found(before, quote, after):
    (span,) = aligned([quote], before + quote + after)
    assert (span is None) == (not quote.strip())


def test_a_repetition_is_no_part_of_another_word():
    assert aligned(["Bob", "Bob"], "Bob met Bobby") == [(0, 3), None]


def test_case_is_ignored_whatever_stands_beside_a_letter():
    assert found(["ΟΔΟΣ  β"], "η οδος\nΒ και οδοσ Β") == ["οδος\nΒ"]
    assert found(["GROß X"], "groß x") == ["groß x"]


@pytest.mark.parametrize(
    ("quote", "text"),
    [("a", "a"), ("a", "a "), ("a b", "a    b    c "), ("A" * 300 + "b", "a"), ("zürich", "lorem ipsum ")],
)
def test_sixteen_quotes_of_two_megabytes_are_looked_for_at_once(quote, text):
    # A regular expression took most of a minute for the fourth of these.
    assert len(aligned([quote] * 16, text * (2_000_000 // len(text)))) == 16
