"""What an endpoint refuses, and what it fails on."""

import json
import threading

import pytest

from sparklabel.errors import ModelError, SetupError
from tests.unit.engines.openai.endpoint import (
    KEY,
    MOOD,
    WHO,
    answers,
    completion,
    failing,
    mood,
    token,
    written,
)


def test_an_endpoint_that_refuses_log_probabilities_is_asked_without_from_then_on(engine, server):
    def reply(body, nth):
        return failing(400, "logprobs are not supported") if "logprobs" in body else mood(body, nth)

    asked = engine(reply, concurrency=1)
    labels = answers(MOOD, asked, "one", "two", "three")
    assert [label.value for label in labels] == ["good enough"] * 3
    assert ["logprobs" in body for body in server.seen] == [True, False, False, False]


def test_rows_that_are_asked_together_all_learn_what_the_endpoint_refuses(engine):
    together = threading.Barrier(4)

    def reply(body, nth):
        if "temperature" not in body:
            return mood(body, nth)
        together.wait(timeout=20)
        return failing(400, "Unsupported value: 'temperature'", param="temperature")

    labels = answers(MOOD, engine(reply, concurrency=4), "1", "2", "3", "4")
    assert [label.status for label in labels] == ["ok"] * 4


def test_a_model_that_wants_max_completion_tokens_gets_them(engine, server):
    def reply(body, nth):
        wrong = "max_tokens" in body
        return failing(400, "Unsupported parameter", param="max_tokens") if wrong else mood(body, nth)

    assert answers(MOOD, engine(reply), "so-so")[0].status == "ok"
    assert "max_completion_tokens" in server.seen[-1]


def test_keywords_of_schemas_that_an_endpoint_refuses_are_left_out(engine, server):
    def reply(body, nth):
        text = json.dumps(body)
        for keyword in ("minLength", "maxLength"):
            if keyword in text:
                return failing(400, f"'{keyword}' is not permitted", param="response_format")
        return written('{"name": "Ann", "age": null}')

    assert answers(WHO, engine(reply), "Ann came")[0].value == {"name": "Ann", "age": None}
    assert len(server.seen) == 3


def test_a_request_that_the_endpoint_puts_off_is_sent_again(engine, server):
    codes = {1: 429, 2: 500}

    def reply(body, nth):
        return failing(codes[nth], "later") if nth in codes else mood(body, nth)

    assert answers(MOOD, engine(reply), "so-so")[0].status == "ok"
    assert len(server.seen) == 3


def test_a_row_whose_request_fails_costs_itself_only(engine, server):
    def reply(body, nth):
        broken = "broken" in body["messages"][0]["content"]
        return failing(429, f"limit of {KEY} " + "x" * 500) if broken else mood(body, nth)

    labels = answers(MOOD, engine(reply, max_retries=0), "fine", "broken", "good")
    assert [label.status for label in labels] == ["ok", "engine_error", "ok"]
    assert labels[1].error.startswith("HTTP 429: limit of *** xxx")
    assert len(labels[1].error) < 320
    assert len(server.seen) == 3


def test_a_terminal_escape_in_an_endpoints_message_is_text_in_the_label(engine):
    (label,) = answers(MOOD, engine(lambda body, nth: failing(400, "no\x1b[2J way")), "one")
    assert label.error == "HTTP 400: no\\x1b[2J way"


def test_a_written_row_whose_request_fails_costs_itself_only(engine):
    def reply(body, nth):
        broken = "broken" in body["messages"][0]["content"]
        return failing(500, "no") if broken else written('{"name": null, "age": null}')

    labels = answers(WHO, engine(reply, max_retries=0), "fine", "broken")
    assert [(label.status, label.error) for label in labels] == [
        ("ok", None),
        ("engine_error", "HTTP 500: no"),
    ]


def test_an_endpoint_that_does_not_answer_in_time_gives_a_timeout(engine):
    label = answers(MOOD, engine(lambda body, nth: None, timeout=0.05, max_retries=0), "so-so")[0]
    assert (label.status, label.error) == ("timeout", "no answer within 0.05 seconds")


def test_a_prompt_that_is_too_long_for_the_model_is_not_tried_again(engine):
    error = failing(400, "This model's maximum context length is 10 tokens", code="context_length_exceeded")
    assert answers(MOOD, engine(lambda body, nth: error), "so-so")[0].status == "too_long"


@pytest.mark.parametrize(
    ("code", "words"), [(413, "too large"), (400, "the prompt is longer than the maximum model length of 8")]
)
def test_endpoints_say_in_their_own_words_that_a_prompt_is_too_long(engine, code, words):
    asked = engine(lambda body, nth: failing(code, words))
    assert answers(MOOD, asked, "so-so")[0].status == "too_long"


def test_a_filter_before_the_model_costs_the_row_that_it_refuses(engine):
    def reply(body, nth):
        return failing(403, "blocked") if "UNION" in body["messages"][0]["content"] else mood(body, nth)

    labels = answers(MOOD, engine(reply), "a' UNION SELECT 1", "fine", "good")
    assert [label.status for label in labels] == ["engine_error", "ok", "ok"]


def test_a_key_that_is_refused_for_row_after_row_is_named(engine, server):
    with pytest.raises(SetupError, match="rejects the key: HTTP 403"):
        answers(MOOD, engine(lambda body, nth: failing(403, "limit"), concurrency=1), *map(str, range(50)))
    assert len(server.seen) == 9


def test_what_an_endpoint_echoes_of_a_row_makes_no_prompt_too_long(engine):
    asked = engine(lambda body, nth: failing(500, "x" * 300 + "maximum context length"), max_retries=0)
    assert answers(MOOD, asked, "a")[0].status == "engine_error"


@pytest.mark.parametrize("content", [{"no": "text"}, "half \ud800 of it", [{"type": "text"}]])
def test_an_answer_that_is_no_text_fails_its_row_only(engine, content):
    assert answers(MOOD, engine(lambda body, nth: completion(content)), "a")[0].status == "invalid_output"


def test_of_an_answer_in_parts_the_texts_count(engine):
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": '{"answer": "bad"}'}]
    assert answers(MOOD, engine(lambda body, nth: completion(parts)), "a")[0].value == "bad"


def test_probabilities_that_are_no_numbers_are_none(engine):
    broken = [token('{"answer": "bad"}') | {"logprob": None}]
    label = answers(MOOD, engine(lambda body, nth: completion('{"answer": "bad"}', broken)), "a")[0]
    assert (label.value, label.confidence) == ("bad", None)


def test_json_without_end_is_no_choice(engine):
    asked = engine(lambda body, nth: completion("[" * 100_000))
    assert answers(MOOD, asked, "a")[0].status == "invalid_output"


def test_an_endpoint_that_fails_on_and_on_is_left_alone(engine, server):
    asked = engine(lambda body, nth: failing(500, "no"), max_retries=0, concurrency=1)
    labels = answers(MOOD, asked, *map(str, range(50)))
    assert {label.status for label in labels} == {"engine_error"}
    assert len(server.seen) == 33
    answers(MOOD, asked, "again", "and again")
    assert len(server.seen) == 34


NO_COMPLETIONS = {
    "no choice": {"choices": []},
    "choices as an object": {"choices": {"0": {}}},
    "an array": [],
    "nested without end": b'{"choices":' + b"[" * 200_000,
    "no UTF-8": b'{"choices": "\xff\xfe"}',
    "an integer of 10,000 digits": b'{"choices": ' + b"1" * 10_000 + b"}",
    "no JSON": b"<html>",
    "nothing": b"",
}


@pytest.mark.parametrize("what", NO_COMPLETIONS)
def test_a_reply_that_is_no_completion_costs_its_row_only(engine, what):
    def reply(body, nth):
        broken = "broken" in body["messages"][0]["content"]
        return (200, NO_COMPLETIONS[what]) if broken else mood(body, nth)

    labels = answers(MOOD, engine(reply, max_retries=0), "fine", "broken", "good")
    assert [label.status for label in labels] == ["ok", "engine_error", "ok"]


@pytest.mark.parametrize(("code", "error", "words"), [(401, SetupError, "key"), (404, ModelError, "'m'")])
def test_what_is_wrong_with_every_request_is_raised_at_once(engine, server, code, error, words):
    asked = engine(lambda body, nth: failing(code, f"wrong: {KEY}"), concurrency=1)
    with pytest.raises(error, match=words) as raised:
        answers(MOOD, asked, *map(str, range(50)))
    assert KEY not in str(raised.value)
    assert len(server.seen) == 1


def test_an_endpoint_that_cannot_hold_answers_to_a_form_is_named(engine):
    asked = engine(lambda body, nth: failing(400, "response_format is not supported"))
    with pytest.raises(SetupError, match="does not support this response format"):
        answers(MOOD, asked, "so-so")


def test_what_an_endpoint_filtered_is_not_asked_again(engine):
    asked = engine(lambda body, nth: failing(400, "we do not talk of this", code="content_filter"))
    assert answers(MOOD, asked, "so-so")[0].status == "invalid_output"


def test_a_row_that_an_endpoint_echoes_turns_no_parameter_off(engine, server):
    asked = engine(lambda body, nth: failing(400, "x" * 300 + "temperature"))
    answers(MOOD, asked, "so-so")
    assert len(server.seen) == 1
