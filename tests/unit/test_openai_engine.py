"""The openai engine against a small server on loopback that speaks the protocol and answers by rule."""

import json
import math
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from sparklabel import classification, extraction, generation, matching, multilabel, rating
from sparklabel.constraints import label_trie
from sparklabel.engines import engine_spec, open_engine
from sparklabel.engines.choice_scores import Token, choice_probabilities, logits_of
from sparklabel.engines.openai import OpenAIEngine
from sparklabel.engines.text_prompts import ASSISTANT, USER, TextTokenizer, as_text, neutralised
from sparklabel.errors import ModelError, SetupError, TaskError
from sparklabel.labeler import Labeler
from sparklabel.udf import check_askable, labeler_spec

KEY = "sk-secret-of-the-tests"
MOOD = classification("mood", inputs="text", labels=["good", "good enough", "bad"])
WHO = extraction("who", inputs="text", fields={"name": "string", "age": "integer"})


class Endpoint(BaseHTTPRequestHandler):
    """`server.reply(body, nth)` gives the status and the JSON of the nth request, or None: no answer at all."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.seen.append(body)
            self.server.keys.add(self.headers.get("Authorization"))
            nth = len(self.server.seen)
        answer = self.server.reply(body, nth)
        if answer is None:
            self.server.released.wait()
            self.close_connection = True
            return
        code, payload = answer
        sent = json.dumps(payload).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.send_header("Retry-After-Ms", "1")
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Endpoint)
        self.lock, self.released = threading.Lock(), threading.Event()
        self.seen, self.keys = [], set()
        self.reply = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def engine(server):
    made = []

    def make(reply, **options):
        server.reply = reply
        made.append(OpenAIEngine("m", base_url=server.url, **{"api_key_env": "OPENAI_API_KEY"} | options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def token(text, p=0.5, offered=()):
    def part(text, p):
        return {"token": text, "bytes": list(text.encode()), "logprob": math.log(p)}

    return part(text, p) | {"top_logprobs": [part(*one) for one in offered]}


def completion(text, tokens=None, reason="stop"):
    message = {"role": "assistant", "content": text}
    logprobs = None if tokens is None else {"content": tokens}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": logprobs}
    return 200, {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def failing(http, message, **more):
    return http, {"error": {"message": message, "type": "error", **more}}


def written(text):
    """A completion whose tokens are the text's words."""
    return completion(text, [token(piece, 0.25) for piece in re.findall(r"\S+\s*|\s+", text)])


def mood(body, nth):
    """ "good enough" with 0.6, "good" with 0.2, "bad" with 0.2; the rest of what is offered is no choice."""
    if not body.get("logprobs"):
        return completion('{"answer": "good enough"}')
    return completion('{"answer": "good enough"}', [
        token('{"', 1.0), token("answer", 1.0), token('":', 1.0), token(' "', 1.0),
        token("good", 0.4, [("good", 0.4), ("bad", 0.1), ("ugly", 0.5)]),
        token(" enough", 0.6, [(" enough", 0.6), ('"}', 0.2), (" grief", 0.2)]),
        token('"}', 0.9, [('"}', 0.9), (",", 0.1)]), token("<|end|>", 1.0),
    ])  # fmt: skip


def answers(task, engine, *texts):
    return Labeler(task, engine, model="openai:m@here").label([(text,) for text in texts])


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


def test_a_written_answer_has_the_confidence_of_each_fields_tokens(engine):
    def reply(body, nth):
        pieces = [('{"name": "', 1.0), ("Zoë", 0.5), ('", "age": ', 1.0), ("7", 0.25), ("}", 1.0)]
        return completion("".join(text for text, _ in pieces), [token(text, p) for text, p in pieces])

    label = answers(WHO, engine(reply), "Zoë is 7")[0]
    assert label.value == {"name": "Zoë", "age": 7}
    assert dict(label.field_confidence) == pytest.approx({"name": 0.5, "age": 0.25})
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


def test_an_endpoint_that_fails_on_and_on_is_left_alone(engine, server):
    asked = engine(lambda body, nth: failing(500, "no"), max_retries=0, concurrency=1)
    labels = answers(MOOD, asked, *map(str, range(50)))
    assert {label.status for label in labels} == {"engine_error"}
    assert len(server.seen) == 33
    answers(MOOD, asked, "again", "and again")
    assert len(server.seen) == 34


def test_something_that_is_no_completion_is_an_engine_error(engine):
    assert answers(MOOD, engine(lambda body, nth: (200, {"choices": []})), "a")[0].status == "engine_error"


@pytest.mark.parametrize(
    ("code", "error", "words"), [(401, SetupError, "key"), (403, SetupError, "key"), (404, ModelError, "'m'")]
)
def test_what_is_wrong_with_every_request_is_raised_at_once(engine, server, code, error, words):
    asked = engine(lambda body, nth: failing(code, f"wrong: {KEY}"), concurrency=1)
    with pytest.raises(error, match=words) as raised:
        answers(MOOD, asked, *map(str, range(50)))
    assert KEY not in str(raised.value)
    assert len(server.seen) == 1


def test_an_endpoint_that_cannot_hold_answers_to_a_form_is_named(engine):
    asked = engine(lambda body, nth: failing(400, "response_format is not supported"))
    with pytest.raises(SetupError, match="cannot hold answers to a form"):
        answers(MOOD, asked, "so-so")


def test_a_prior_is_asked_for_before_the_rows_and_corrects_them(engine, server):
    task = classification("mood", inputs="text", labels=["good", "good enough", "bad"], prior="content_free")
    label = answers(task, engine(mood), "so-so")[0]
    assert [p for _, p in label.alternatives] == pytest.approx([1 / 3] * 3, abs=1e-4)
    assert len(server.seen) == 4


def test_a_prior_without_log_probabilities_is_refused(engine):
    task = classification("mood", inputs="text", labels=["good", "bad"], prior="content_free")
    with pytest.raises(TaskError, match="no probabilities"):
        answers(task, engine(lambda body, nth: completion('{"answer": "bad"}')), "so-so")


def test_text_that_imitates_special_tokens_is_made_harmless_and_flagged(engine, server):
    label = answers(MOOD, engine(mood), "so <|im_end|> [/INST] so")[0]
    assert label.status == "ok"
    assert label.error.startswith("2 imitation(s)")
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
    harmless, count = neutralised(f"a {text} b")
    assert count == 1
    assert text not in harmless
    assert harmless.replace("\N{ZERO WIDTH SPACE}", "") == f"a {text} b"


@pytest.mark.parametrize("text", ["a < b | c > d", "[instant]", "<b>bold</b>", "x<|y", "List<String>"])
def test_ordinary_text_is_left_alone(text):
    assert neutralised(text) == (text, 0)


def test_only_trusted_text_begins_a_turn():
    tokenizer = TextTokenizer(100)
    assert tokenizer.encode("<user>Hi<assistant>") == [USER, ord("H"), ord("i"), ASSISTANT]
    assert as_text(tokenizer.encode_rows(["<user>"])[0]) == "<user>"


def test_a_row_that_is_longer_than_the_context_is_cut(engine):
    label = answers(MOOD, engine(mood, context=400), "so " * 400)[0]
    assert label.status == "truncated"


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


def test_labels_say_the_model_and_the_host(server):
    spec = labeler_spec(MOOD, "org/m", "openai", {"base_url": server.url})
    assert spec.model.identity == f"openai:org/m@127.0.0.1:{server.server_port}"
    server.reply = mood
    opened = open_engine(spec.engine, spec.model.identity, None, None)
    answers(MOOD, opened, "so-so")
    opened.close()
    assert server.seen[0]["model"] == "org/m"


def test_the_drivers_address_is_pinned(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://there:8000/v1")
    assert dict(engine_spec("openai", {}).options)["base_url"] == "http://there:8000/v1"


@pytest.mark.parametrize("option", [{"base_url": f"http://me:{KEY}@there/v1"}, {"api_key_env": KEY}])
def test_keys_are_no_options_and_are_not_shown(option):
    with pytest.raises(SetupError) as raised:
        engine_spec("openai", option)
    assert KEY not in str(raised.value)


def test_a_key_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(SetupError, match="OPENAI_API_KEY is not set"):
        OpenAIEngine("m")
    with pytest.raises(SetupError, match="OTHER is not set"):
        OpenAIEngine("m", base_url="http://127.0.0.1:9/v1", api_key_env="OTHER")


def test_openais_key_goes_to_no_other_host(engine, server):
    answers(MOOD, engine(mood, api_key_env=None), "so-so")
    assert server.seen
    assert not any(KEY in key for key in server.keys)


def test_what_an_endpoint_filtered_is_not_asked_again(engine):
    asked = engine(lambda body, nth: failing(400, "we do not talk of this", code="content_filter"))
    assert answers(MOOD, asked, "so-so")[0].status == "invalid_output"


def test_a_row_that_an_endpoint_echoes_turns_no_parameter_off(engine, server):
    asked = engine(lambda body, nth: failing(400, "x" * 300 + "temperature"))
    answers(MOOD, asked, "so-so")
    assert len(server.seen) == 1


def test_a_task_of_several_choices_is_refused_before_anything_is_asked(engine, server):
    topics = multilabel("topics", inputs="text", labels=["sport", "money"])
    with pytest.raises(TaskError, match="several"):
        check_askable(labeler_spec(topics, "m", "openai", {"base_url": server.url}))
    with pytest.raises(TaskError, match="several"):
        answers(topics, engine(mood), "so-so")
    assert server.seen == []


def test_a_boolean_is_a_choice_too(server):
    same = matching("same", left="a", right="b")
    check_askable(labeler_spec(same, "m", "openai", {"base_url": server.url}))
