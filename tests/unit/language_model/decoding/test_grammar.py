"""What a grammar allows: JSON in one form, and nothing else."""

import json
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from transformers import LlamaConfig, PreTrainedTokenizerFast

from sparklabel.errors import TaskError
from sparklabel.language_model import ModelTokenizer
from sparklabel.language_model.decoding.grammar import Vocabulary, allowed
from tests.unit.language_model.test_llama2 import bpe, metaspace, prepended


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return ModelTokenizer.load(tiny_model)


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return Vocabulary(tokenizer, 300)


RECORD = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


def is_accepted(vocabulary, tokenizer, schema, text):
    grammar_state = vocabulary.grammar(json.dumps(schema)).begin()
    return all(grammar_state.accept(token) for token in tokenizer.encode(text)) and grammar_state.is_complete


def test_the_form_of_json_dumps_is_accepted(vocabulary, tokenizer):
    text = json.dumps({"a": 'é"\\\n\t/ 𝄞', "b": [1, -20]}, ensure_ascii=False)
    assert is_accepted(vocabulary, tokenizer, RECORD, text)


@pytest.mark.parametrize(
    "text",
    ['{"a":"x", "b": []}', '{"a": "x","b": []}', '{ "a": "x", "b": []}', '{"b": [], "a": "x"}', '{"a": "x"}',
     '{"a": "\\u0061", "b": []}', '{"a": "\\/", "b": []}', '{"a": "x", "b": [1,2]}', '{"a": "x", "b": [01]}',
     '{"a": "x", "b": []} ', '{"a": "x", "b": [], "c": 1}'],
)  # fmt: skip
def test_any_other_form_is_refused(vocabulary, tokenizer, text):
    assert not is_accepted(vocabulary, tokenizer, RECORD, text)


def test_what_must_come_is_forced(vocabulary, tokenizer):
    grammar_state = vocabulary.grammar(json.dumps(RECORD)).begin()
    assert tokenizer.decode(grammar_state.forced_tokens()) == '{"a": "'
    assert grammar_state.forced_tokens() == []
    assert not grammar_state.has_ended


def allowed_tokens(vocabulary, grammar_state):
    (bits,) = allowed(vocabulary, [grammar_state])
    return {token for token in range(32 * len(bits)) if bits[token // 32] >> (token % 32) & 1}


def test_the_end_is_one_of_the_allowed_tokens_where_the_answer_may_end(vocabulary, tokenizer):
    grammar_state = vocabulary.grammar('{"type": "integer"}').begin()
    assert not set(tokenizer.stop_ids) & allowed_tokens(vocabulary, grammar_state)
    grammar_state.accept(*tokenizer.encode("1"))
    assert allowed_tokens(vocabulary, grammar_state) == {*tokenizer.stop_ids, *tokenizer.encode("0123456789")}


def test_every_stop_id_may_end_an_answer(tiny_model):
    tokenizer = ModelTokenizer.load(tiny_model)
    tokenizer.stop_ids = (0, 250)
    vocabulary = Vocabulary(tokenizer, 257)
    grammar_state = vocabulary.grammar('{"enum": [1, 12]}').begin()
    grammar_state.accept(*tokenizer.encode("1"))
    assert allowed_tokens(vocabulary, grammar_state) >= {0, 250}


def test_an_answer_that_left_the_grammar_is_lost(vocabulary, tokenizer):
    grammar_state = vocabulary.grammar(json.dumps(RECORD)).begin()
    assert not grammar_state.accept(*tokenizer.encode("x"))
    assert grammar_state.has_ended
    assert not grammar_state.is_complete
    assert allowed_tokens(vocabulary, grammar_state) == set()


@pytest.mark.parametrize("schema", ["no JSON", "[]", '{"type": "word"}', '{"$ref": "#/nowhere"}'])
def test_a_schema_that_cannot_be_is_the_tasks_error(vocabulary, schema):
    with pytest.raises(TaskError, match="JSON schema"):
        vocabulary.grammar(schema)


@pytest.fixture(
    scope="module",
    params=[("old", prepended, True), ("old", prepended, False), ("new", metaspace, False)],
    ids=lambda p: p[0],
)
def llama2(request):
    """Its decoder drops the blank before a text, as the real one's does, or leaves it there."""
    _, begin, strips = request.param
    made = Tokenizer(bpe())
    begin(made)
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)] if strips else parts)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    return ModelTokenizer(tokenizer, LlamaConfig(eos_token_id=2, max_position_embeddings=2048))


def test_a_tokenizer_of_llama2s_kind_forces_no_blank_before_an_answer(llama2):
    vocabulary = Vocabulary(llama2, llama2.fast.vocab_size)
    grammar_state = vocabulary.grammar('{"const": ["good film", 1]}').begin()
    assert llama2.decode(grammar_state.forced_tokens()) == '["good film", 1]'
    assert grammar_state.is_complete


def test_a_blank_at_the_beginning_of_an_answer_stays(llama2):
    ids = llama2.encode(" the film", inside=True)
    assert llama2.decode(ids) == " the film"
    assert llama2.token_ends(ids) == [4, 9]


@pytest.mark.parametrize("kind", ["bytes", "llama2"])
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="▁\ufffd"), max_size=20))
def test_a_token_ends_behind_its_whole_characters(kind, tokenizer, llama2, text):
    reader = {"bytes": tokenizer, "llama2": llama2}[kind]
    ids = reader.encode(text, inside=True)
    ends = reader.token_ends(ids)
    assert reader.decode(ids) == text
    texts = [reader.decode(ids[: n + 1]) for n in range(len(ids))]
    whole = [0 if text.endswith("\ufffd") else len(text) for text in texts]
    assert ends == list(accumulate(whole, max))
    assert ends[-1:] == [len(text)][: len(ids)]
