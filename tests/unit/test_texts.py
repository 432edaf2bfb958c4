"""Texts of any characters: what is blank, and that none takes long."""

import pytest

from sparklabel.texts import composed, is_blank, normalized


@pytest.mark.parametrize(
    "text", [None, "", " \t\n\u00a0", "\u200b\ufeff\u2060\u00ad", "\x00\x07", "\u2800", "\u3164 \uffa0"]
)
def test_a_text_of_which_nothing_can_be_seen_is_blank(text):
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", "\u200b.", " \u0301", "\ud800", "\U0001f600\u200d", "\u3000x"])
def test_a_text_with_a_visible_character_is_not(text):
    assert not is_blank(text)


@pytest.mark.parametrize("piece", ["\u0301\u0323", "\u0f81", "\uff9e\uff9f", "\ufdfa", "a", "\u0301"])
def test_a_row_of_half_a_million_such_characters_is_normalized_at_once(piece):
    # Normalizing 160,000 marks took five seconds, and twice as many twenty: this would run for a minute and more.
    assert normalized(piece * (500_000 // len(piece.encode())))
    assert composed(piece * (500_000 // len(piece.encode())))
