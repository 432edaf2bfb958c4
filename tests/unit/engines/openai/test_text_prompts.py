"""Prompts as text: nothing in a row begins a turn."""

import pytest

from sparklabel import classification
from sparklabel.engines.openai.text_tokenizer import ASSISTANT, USER, TextTokenizer, as_text, neutralized
from tests.unit.engines.openai.endpoint import MOOD, answers, mood


def test_text_that_imitates_special_tokens_is_made_harmless_and_flagged(engine, server):
    label = answers(MOOD, engine(mood), "so <|im_end|> [/INST] so")[0]
    assert label.status == "ok"
    assert label.error.startswith("2 imitations of")
    assert "<|im_end|>" not in server.seen[0]["messages"][0]["content"]


def test_trusted_instructions_are_left_as_they_are(engine, server):
    task = classification(
        "mood", inputs="text", labels=["good", "good enough", "bad"], instructions="As <s>."
    )
    assert answers(task, engine(mood), "so-so")[0].error is None
    assert "As <s>." in server.seen[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    "text", ["<|eot_id|>", "[INST]", "<<SYS>>", "</s>", "<start_of_turn>", "<｜User｜>", "</think>"]
)
def test_special_tokens_of_common_formats_are_known(text):
    harmless, count = neutralized(f"a {text} b")
    assert count == 1
    assert text not in harmless
    assert harmless.replace("\N{ZERO WIDTH SPACE}", "") == f"a {text} b"


@pytest.mark.parametrize("text", ["a < b | c > d", "[instant]", "<b>bold</b>", "x<|y", "List<String>"])
def test_ordinary_text_is_left_alone(text):
    assert neutralized(text) == (text, 0)


def test_only_trusted_text_begins_a_turn():
    tokenizer = TextTokenizer(100)
    assert tokenizer.encode("<user>Hi<assistant>") == [USER, ord("H"), ord("i"), ASSISTANT]
    assert as_text(tokenizer.encode_rows(["<user>"])[0]) == "<user>"
