"""What is asked of an endpoint that speaks the protocol, and what its answers become."""

import pytest

from sparklabel import classification, generation, rating
from sparklabel.errors import TaskError
from tests.unit.engines.openai.endpoint import KEY, MOOD, WHO, answers, completion, mood, token, written


def test_a_choice_gets_the_probabilities_of_the_offered_tokens_that_are_choices(engine):
    label = answers(MOOD, engine(mood), "so-so")[0]
    assert label.value == "good enough"
    assert dict(label.alternatives) == pytest.approx({"good enough": 0.6, "good": 0.2, "bad": 0.2}, abs=1e-5)


def test_a_request_has_the_whole_prompt_as_one_user_message_and_the_labels_as_its_form(engine, server):
    answers(MOOD, engine(mood), "so-so")
    body = server.seen[0]
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert body["messages"][0]["content"].endswith("Text: so-so")
    assert body["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"] == [
        "good",
        "good enough",
        "bad",
    ]
    assert (body["model"], body["temperature"], body["top_logprobs"]) == ("m", 0.0, 20)
    assert server.keys == {f"Bearer {KEY}"}


def test_choices_as_vllm_takes_them_end_with_their_quote(engine, server):
    def reply(body, nth):
        offered = [('"good', 0.6), ('"bad', 0.4)]
        end = [('"', 0.75), (" enough", 0.25)]
        return completion('"good"', [token('"good', 0.6, offered), token('"', 0.75, end)])

    label = answers(MOOD, engine(reply, structured="vllm"), "so-so")[0]
    assert server.seen[0]["structured_outputs"] == {"choice": ['"good"', '"good enough"', '"bad"']}
    assert dict(label.alternatives) == pytest.approx(
        {"good": 0.45, "bad": 0.4, "good enough": 0.15}, abs=1e-5
    )


def test_an_endpoint_without_log_probabilities_gives_values_without_confidence(engine):
    asked = engine(lambda body, nth: completion('{"answer":"bad"}'))
    label = answers(MOOD, asked, "so-so")[0]
    assert (label.value, label.confidence, label.alternatives, label.status) == ("bad", None, None, "ok")


def test_a_rating_without_log_probabilities_is_the_number_that_was_chosen(engine):
    stars = rating("stars", inputs="text", scale=(1, 5))
    label = answers(stars, engine(lambda body, nth: completion('{"answer": "4"}')), "so-so")[0]
    assert (label.value, label.confidence) == (4.0, None)


def test_a_written_answer_has_the_confidence_of_each_fields_tokens(engine):
    def reply(body, nth):
        pieces = [('{"name": "', 1.0), ("Zoë", 0.5), ('", "age": ', 1.0), ("7", 0.25), ("}", 1.0)]
        return completion("".join(text for text, _ in pieces), [token(text, p) for text, p in pieces])

    label = answers(WHO, engine(reply), "Zoë is 7")[0]
    assert label.value == {"name": "Zoë", "age": 7}
    assert {one.field: one.confidence for one in label.field_confidence} == pytest.approx(
        {"name": 0.5, "age": 0.25}
    )
    assert label.output_tokens == 5


def test_a_character_in_two_tokens_is_put_together(engine):
    halves = [token("", 0.5) | {"bytes": [part]} for part in "é".encode()]
    written = completion(
        '{"name": "é", "age": null}', [token('{"name": "'), *halves, token('", "age": null}')]
    )
    label = answers(WHO, engine(lambda body, nth: written), "é")[0]
    assert (label.value["name"], label.output_tokens) == ("é", 4)


def test_a_written_answer_without_log_probabilities_has_no_confidence(engine):
    asked = engine(lambda body, nth: completion('{"name":"Ann",\n"age":7}'))
    label = answers(WHO, asked, "Ann is 7")[0]
    assert label.value == {"name": "Ann", "age": 7}
    assert (label.confidence, label.field_confidence, label.output_tokens) == (None, None, None)


def test_free_text_is_asked_without_a_form(engine, server):
    summary = generation("summary", inputs="text", instructions="Sum up.")
    assert (
        answers(summary, engine(lambda body, nth: written("It is fine.")), "so-so")[0].value == "It is fine."
    )
    assert "response_format" not in server.seen[0]


def test_an_answer_that_was_cut_or_refused_is_invalid(engine):
    def reply(body, nth):
        if "cut" in body["messages"][0]["content"]:
            return completion('{"name": "A', [token('{"name": "A')], reason="length")
        code, payload = completion(None)
        payload["choices"][0]["message"]["refusal"] = "No."
        return code, payload

    labels = answers(WHO, engine(reply), "cut", "other")
    assert [label.status for label in labels] == ["invalid_output"] * 2
    assert labels[1].error == "the model refused: No."


def test_an_answer_that_is_no_choice_is_invalid(engine):
    label = answers(MOOD, engine(lambda body, nth: completion('{"answer": "fine"}')), "so-so")[0]
    assert (label.value, label.status) == (None, "invalid_output")


def test_a_prior_is_asked_for_before_the_rows_and_corrects_them(engine, server):
    task = classification("mood", inputs="text", labels=["good", "good enough", "bad"], prior="content_free")
    label = answers(task, engine(mood), "so-so")[0]
    assert [p for _, p in label.alternatives] == pytest.approx([1 / 3] * 3, abs=1e-4)
    assert len(server.seen) == 4


def test_a_prior_without_log_probabilities_is_refused(engine):
    task = classification("mood", inputs="text", labels=["good", "bad"], prior="content_free")
    with pytest.raises(TaskError, match="no probabilities"):
        answers(task, engine(lambda body, nth: completion('{"answer": "bad"}')), "so-so")


def test_a_row_that_is_longer_than_the_context_is_cut(engine):
    label = answers(MOOD, engine(mood, context=400), "so " * 400)[0]
    assert label.status == "truncated"
