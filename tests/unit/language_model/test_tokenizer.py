"""What a model's tokenizer says of its context and its chat format."""

import json
import shutil
from contextlib import suppress

import pytest
from transformers import (
    AddedToken,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    MistralConfig,
)

from sparklabel.errors import ModelError
from sparklabel.language_model import LanguageModel, SentenceEncoder
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


CODE = """
from pathlib import Path
Path(RAN).touch()
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class Config(LlamaConfig): model_type = "its_own"
class Model(LlamaForCausalLM): pass
class Tokenizer(PreTrainedTokenizerFast): pass
"""


@pytest.fixture
def with_code(tiny_model, tmp_path, monkeypatch):
    """Makes a model whose file names code of its own, and with which function it is loaded. Returns what loads it, and
    the file that the code creates when it runs."""
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))

    def make(file, **settings):
        folder = shutil.copytree(tiny_model, tmp_path / "model")
        (folder / "its_own.py").write_text(CODE.replace("RAN", repr(str(tmp_path / "ran"))))
        (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | settings))
        return folder, tmp_path / "ran"

    return make


def test_the_code_of_a_configuration_is_not_run(with_code):
    folder, ran = with_code("config.json", model_type="its_own", auto_map={"AutoConfig": "its_own.Config"})
    with pytest.raises(ModelError, match="does not load"):
        ModelTokenizer.load(folder)
    assert not ran.exists()


TOKENIZER_CODE = {"AutoTokenizer": [None, "its_own.Tokenizer"]}


@pytest.mark.parametrize("kind", ["Tokenizer", "PreTrainedTokenizerFast"])
def test_the_code_of_a_tokenizer_is_not_run(with_code, kind):
    folder, ran = with_code("tokenizer_config.json", tokenizer_class=kind, auto_map=TOKENIZER_CODE)
    with suppress(ModelError):  # without its code it loads as an ordinary one, or not at all
        ModelTokenizer.load(folder)
    assert not ran.exists()


LOADED = {
    "model": lambda folder: LanguageModel.load(folder, device="cpu"),
    "encoder": lambda folder: SentenceEncoder.load(folder, "tiny"),
}


@pytest.mark.parametrize("what", LOADED)
def test_the_code_of_a_models_weights_is_not_run(with_code, what):
    classes = {"AutoModelForCausalLM": "its_own.Model", "AutoModel": "its_own.Model"}
    folder, ran = with_code("config.json", auto_map=classes)
    with suppress(ModelError):
        LOADED[what](folder)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("file", "settings", "load"),
    [
        ("config.json", {"model_type": "its_own", "auto_map": {"AutoConfig": "its_own.Config"}}, AutoConfig),
        ("tokenizer_config.json", {"tokenizer_class": "Tokenizer", "auto_map": TOKENIZER_CODE}, AutoTokenizer),
        ("config.json", {"auto_map": {"AutoModelForCausalLM": "its_own.Model"}}, AutoModelForCausalLM),
    ],
)  # fmt: skip
def test_such_code_would_run_if_it_were_trusted(with_code, file, settings, load):
    """The tests above would find it."""
    folder, ran = with_code(file, **settings)
    load.from_pretrained(folder, trust_remote_code=True)
    assert ran.exists()
