"""Options of the openai engine: addresses, keys, and what it is not asked."""

import pytest

from sparklabel import classification, matching, multilabel
from sparklabel.engines import engine_spec, open_engine
from sparklabel.engines.openai.engine import OpenAIEngine
from sparklabel.errors import SetupError, TaskError
from sparklabel.udf import labeler_spec, prepare
from tests.unit.engines.openai.endpoint import KEY, MOOD, answers, mood


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


def test_nothing_else_that_is_openais_goes_to_another_host(engine, server, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {KEY}\nX-Gateway: gate-secret")
    answers(MOOD, engine(mood, api_key_env=None), "so-so")
    assert "Host" in server.headers
    assert not any(KEY in value or "secret" in value for value in server.headers.values())


def test_more_labels_than_an_endpoint_takes_are_refused(server):
    many = classification("intent", "text", [f"label {n}" for n in range(1001)])
    with pytest.raises(TaskError, match="can offer 1,000 labels, and this task has 1,001"):
        prepare(labeler_spec(many, "m", "openai", {"base_url": server.url}))


def test_a_task_of_several_choices_is_refused_before_anything_is_asked(engine, server):
    topics = multilabel("topics", inputs="text", labels=["sport", "money"])
    with pytest.raises(TaskError, match="several"):
        prepare(labeler_spec(topics, "m", "openai", {"base_url": server.url}))
    with pytest.raises(TaskError, match="several"):
        answers(topics, engine(mood), "so-so")
    assert server.seen == []


def test_a_boolean_is_a_choice_too(server):
    same = matching("same", left="a", right="b")
    prepare(labeler_spec(same, "m", "openai", {"base_url": server.url}))
