"""Chat templates: what transformers would render, within limits, and once a host."""

import subprocess
import sys
from datetime import date

import pytest
from transformers import AutoTokenizer

from sparklabel.errors import ModelError
from sparklabel.language_model.chat_format import MARK, ChatFormat, chat_format
from sparklabel.language_model.tokenizer import ModelTokenizer

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
PLAIN = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
ENDLESS = 3 * "{% for i in range(99999) %}" + 3 * "{% endfor %}"


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def said(template, **options):
    return chat_format(template, TOKENS, "org/tiny", **options)


def test_the_three_chats_are_rendered():
    found = said(PLAIN + "{% if add_generation_prompt %}<assistant>{% endif %}")
    assert found == ChatFormat(
        f"<s><user>{MARK}<assistant>", f"<s><user>{MARK}<assistant>{MARK}", f"<s><user>a<assistant>{MARK}"
    )


@pytest.mark.parametrize(
    "template",
    [
        PLAIN,
        "{{ messages | tojson }}{{ messages | tojson(indent=2) }}{{ {'b': '<é>', 'a': 1} | tojson(sort_keys=true) }}",
        "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}\n    {% generation %}\n{{ m.content }}\n    {% endgeneration %}\n{% endfor %}\n",
        "{%- set ns = namespace(n=0) %}\n{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{% endfor %}\n",
        "{{ strftime_now('%Y-%m-%d') }} {{ date_string }} {{ tools is none }} {{ documents is none }} {{ other }}",
        "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{{ eos_token }}",
        "{{ messages[0]['content'].strip().upper() }} {{ messages[0].get('x', '<') }}",
    ],
)
def test_a_template_writes_what_it_writes_under_transformers(template, tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    theirs = tokenizer.apply_chat_template(
        [{"role": "user", "content": MARK}], chat_template=template, tokenize=False, add_generation_prompt=True,
        date_string="26 Jul 2024", strftime_now=date(2024, 7, 26).strftime, enable_thinking=False,
    )  # fmt: skip
    assert chat_format(template, tokenizer.special_tokens_map, "tiny").question == theirs


def test_a_template_that_never_ends_is_ended_and_named():
    with pytest.raises(
        ModelError, match=r"of the model org/tiny \('{% for i in .* does not end within 1 sec"
    ):
        said(ENDLESS, seconds=1.0)


def test_a_template_that_its_own_limit_ends_first_is_named_alike(monkeypatch):
    waits = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: waits(*args, **options | {"timeout": 60}))
    with pytest.raises(ModelError, match="does not end within 1 seconds"):
        said(ENDLESS, seconds=1.0)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for i in range(99999) %}0123456789{% endfor %}", "it writes more than 100,000 characters"),
        ("{{ 'a' * 10 ** 12 }}", "MemoryError"),
        ("{{ raise_exception('Only tools talk here.') }}", "Only tools talk here"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError"),
        ("{% include '/etc/hostname' %}", "no loader for this environment"),
        ("{% for %}", "TemplateSyntaxError"),
    ],
)
def test_a_template_that_fails_is_named_with_its_reason(template, why):
    with pytest.raises(ModelError, match=rf"The chat template of the model org/tiny \(.*\) fails: .*{why}"):
        said(template)


def test_a_template_is_rendered_once_a_host(empty_cache, monkeypatch):
    first = said(PLAIN)
    monkeypatch.setattr(sys, "executable", "/no/python")
    assert said(PLAIN) == first
    with pytest.raises(OSError, match="/no/python"):
        said(PLAIN + "!")


def test_a_host_whose_cache_cannot_be_written_renders_each_time(empty_cache):
    empty_cache.write_text("no folder")
    assert said(PLAIN) == said(PLAIN)


def test_a_model_with_such_a_template_does_not_load(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = "{{ raise_exception('no') }}"
    with pytest.raises(ModelError, match=rf"The chat template of the model {tiny_model} \(.* fails: .*no"):
        ModelTokenizer(tokenizer, tokenizer)


def test_a_model_with_several_templates_and_no_default_does_not_load(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = {"tool_use": PLAIN, "rag": PLAIN}
    with pytest.raises(ModelError, match="has no usable chat template"):
        ModelTokenizer(tokenizer, tokenizer)
