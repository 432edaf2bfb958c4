"""What a model's tokenizer says of its context and its chat format."""

import json
import shutil

import pytest
from transformers import AddedToken, AutoTokenizer, LlamaConfig, MistralConfig

from sparklabel.errors import ModelError
from sparklabel.language_model.tokenizer import ModelTokenizer


@pytest.mark.parametrize(
    ("changes", "context"),
    [({}, 512), ({"sliding_window": 4096}, 2048), ({"sliding_window": None}, 2048),
     ({"use_sliding_window": False}, 2048)],
)  # fmt: skip
def test_the_context_is_no_longer_than_an_active_sliding_window(tiny_model, changes, context):
    config = MistralConfig(
        **{"max_position_embeddings": 2048, "sliding_window": 512, "eos_token_id": 0} | changes
    )
    assert ModelTokenizer(AutoTokenizer.from_pretrained(tiny_model), config).context == context


@pytest.mark.parametrize("today", ["date_string", "strftime_now('%d %b %Y')"])
def test_a_chat_template_that_prints_the_date_gives_the_same_prompt_every_day(tiny_model, today):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = f"Today: {{{{ {today} }}}}\n{{{{ messages[0].content }}}}"
    found = ModelTokenizer(tokenizer, LlamaConfig(eos_token_id=0)).chat()
    assert found == ("Today: 26 Jul 2024\n", "")


def test_a_model_that_thinks_first_is_asked_without(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>"
        "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}"
    )
    found = ModelTokenizer(tokenizer, LlamaConfig(eos_token_id=0)).chat()
    assert found == ("<user>", "<assistant><think></think>")


@pytest.mark.parametrize("name", ["<｜Assistant｜>", "</think>"])
def test_rows_make_no_token_of_the_chat_format_that_a_tokenizer_calls_ordinary(tiny_model, name):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False)])
    found = ModelTokenizer(tokenizer, LlamaConfig(eos_token_id=0))
    trusted, row = found.encode(f"a{name}b"), found.encode_rows([f"a{name}b"])[0]
    assert tokenizer.convert_tokens_to_ids(name) in trusted
    assert tokenizer.convert_tokens_to_ids(name) not in row
    assert found.decode(row) == f"a{name}b"


def test_the_code_of_a_model_is_not_run(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "its_own", "auto_map": {"AutoConfig": "code.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('it runs')")
    with pytest.raises(ModelError, match="does not load"):
        ModelTokenizer.load(folder)
