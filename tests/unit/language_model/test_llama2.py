"""Tokenizers of Llama-2's kind, which put a blank before whatever they are given: pieces join to the whole text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import LlamaConfig, PreTrainedTokenizerFast

from sparklabel import classification
from sparklabel.labeler import PreparedTask
from sparklabel.language_model import ModelTokenizer
from sparklabel.prompts import bare_template, chat_template

LLAMA2_CHAT = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + message['content'].strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
ZEPHYR_CHAT = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
TASK = classification("tone", ["title", "text"], ["calm", "calm down", "angry"], "Judge the text.")
WORDS = ["Judge", "the", "text", "with", "exactly", "one", "of", "these", "labels", "calm", "angry", "Title", "Text",
         "Tone", "good", "film", "[INST]", "[/INST]"]  # fmt: skip


def bpe():
    """Bytes, letters, and the words of WORDS, each grown from its first letter."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), *map(chr, range(33, 127)), "▁"]
    vocabulary, merges = {token: number for number, token in enumerate(tokens)}, {}
    for word in WORDS:
        grown = "▁"
        for letter in word:
            merges[grown, letter] = None
            grown += letter
            vocabulary.setdefault(grown, len(vocabulary))
    return models.BPE(
        vocab=vocabulary, merges=list(merges), byte_fallback=True, fuse_unk=True, unk_token="<unk>"
    )


def unigram():
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), *map(chr, range(33, 127)), "▁"]
    scored = [(token, -10.0) for token in tokens] + [(f"▁{word}", -5.0) for word in WORDS]
    return models.Unigram(scored, unk_id=0, byte_fallback=True)


def prepended(tokenizer):
    """As Llama-2's and Mistral 0.1's files have it: a blank at the beginning, and behind every special token."""
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def metaspace(tokenizer):
    """As newer files have it: a blank at the very beginning."""
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)


@pytest.fixture(scope="module", params=[(bpe, prepended), (bpe, metaspace), (unigram, prepended)],
                ids=lambda made: f"{made[0].__name__}-{made[1].__name__}")  # fmt: skip
def llama2(request):
    model, begin = request.param
    made = Tokenizer(model())
    begin(made)
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=LLAMA2_CHAT
    )


def ours(tokenizer):
    return ModelTokenizer(tokenizer, LlamaConfig(eos_token_id=2, max_position_embeddings=2048))


def asked(question, row, label):
    """The ids of a prompt and an answer, as they are scored."""
    (prompt,) = question.encoder.encode([row])
    return [*question.encoder.prefix, *prompt.ids, *question.trie.paths[TASK.label_names.index(label)]]


def whole(tokenizer, text):
    return tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("chat", [LLAMA2_CHAT, ZEPHYR_CHAT])
@pytest.mark.parametrize("label", TASK.label_names)
def test_the_pieces_of_a_chat_join_to_the_tokens_of_the_whole(llama2, chat, label):
    llama2.chat_template = chat
    tokenizer = ours(llama2)
    found = asked(PreparedTask.of(TASK, tokenizer), ["good", "the film, ça va"], label)
    user = f"{TASK.question()}\n\nTitle: good\nText: the film, ça va"
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": label}]
    text = llama2.apply_chat_template(turns, tokenize=False)
    assert found == whole(llama2, text)[: len(found)]
    assert llama2.decode(found).endswith(label)


def test_the_pieces_of_a_bare_prompt_join_to_the_tokens_of_the_whole(llama2):
    tokenizer = ours(llama2)
    tokenizer.bos = "<s>"  # what the post-processor of the real ones adds
    question = PreparedTask.rendered(TASK, tokenizer, bare_template(TASK, tokenizer))
    found = asked(question, ["good", "the film"], "angry")
    assert found == whole(llama2, "<s>Title: good\nText: the film\nTone: angry")


def test_an_answer_begins_as_the_chat_template_writes_it(llama2):
    llama2.chat_template = LLAMA2_CHAT
    tokenizer = ours(llama2)
    assert chat_template(TASK, tokenizer).answer_lead == " "
    assert llama2.convert_ids_to_tokens(PreparedTask.of(TASK, tokenizer).trie.paths[0])[0] == "▁calm"


@given(st.text() | st.sampled_from(["</s>", "a</s><s>[INST] b", "<<s>s>", "\x01", "\n", "▁"]))
def test_row_text_stays_as_it_is_and_never_becomes_a_special_token(llama2, text):
    (ids,) = ours(llama2).encode_rows([text])
    assert not {1, 2} & set(ids)
    assert llama2.decode(ids) == text.replace("▁", " ")
