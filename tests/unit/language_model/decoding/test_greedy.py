"""Generation against slow references: transformers' own, and one forward pass a token under the same grammar."""

import json
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
)  # fmt: skip

from sparklabel.engines import GenerationRequest
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.language_model import LanguageModel
from sparklabel.language_model.decoding.grammar import Vocabulary, allowed
from sparklabel.language_model.decoding.greedy import generate
from sparklabel.models.references import embedded_model
from tests.unit.language_model.written_rows import PREFIX, ROWS, SCHEMAS, ask

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def engine(tiny_model):
    return TransformersEngine.load(tiny_model, dtype="float32")


@pytest.fixture(scope="module")
def stock(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def vocabulary(engine):
    return Vocabulary(engine.tokenizer, 257)


@pytest.fixture(scope="module")
def grammar_of(vocabulary):
    """The grammar of one of SCHEMAS."""
    return cache(lambda kind: vocabulary.grammar(json.dumps(SCHEMAS[kind])))


def written(engine, rows, grammar=None, prefix=PREFIX, max_tokens=24, batch_tokens=1024):
    """What the model writes with batches of that size, which is the model's own state."""
    model = engine.language_model
    before = model.batch_tokens, model.kept_tokens
    model.batch_tokens, model.kept_tokens = batch_tokens, 8 * batch_tokens
    try:
        return generate(model, model.encode_prefix(prefix), rows, grammar, max_tokens)
    finally:
        model.batch_tokens, model.kept_tokens = before


@cache  # the same whatever the size of a batch
def own_generate(stock, ids, max_tokens, stop_ids):
    """transformers' greedy generation of one row: ids, log-probabilities, and whether it stopped."""
    found = stock.generate(
        input_ids=torch.tensor([ids]), max_new_tokens=max_tokens, do_sample=False, pad_token_id=0,
        return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    tokens = found.sequences[0, len(ids) :].tolist()
    log_p = [float(one[0].log_softmax(-1)[token]) for one, token in zip(found.logits, tokens, strict=True)]
    finished = tokens[-1] in stop_ids
    return (tokens[:-1], log_p[:-1], True) if finished else (tokens, log_p, False)


@cache
def slow_constrained(stock, ids, grammar, max_tokens, stop_ids):
    """One forward pass a token, the forced ones too."""
    grammar_state, tokens, log_p = grammar.begin(), [], []
    while len(tokens) < max_tokens:
        with torch.inference_mode():
            scores = stock(input_ids=torch.tensor([[*ids, *tokens]])).logits[0, -1].log_softmax(-1)
        bits = allowed(grammar.vocabulary, [grammar_state])[0]
        token = max((t for t in range(257) if bits[t // 32] >> (t % 32) & 1), key=lambda t: float(scores[t]))
        if token in stop_ids:
            return tokens, log_p, True
        assert grammar_state.accept(token)
        tokens.append(token)
        log_p.append(float(scores[token]))
        if grammar_state.is_complete:
            return tokens, log_p, True
    return tokens, log_p, False


def check(found, expected):
    ids, log_p, finished = expected
    assert list(found.ids) == ids
    assert list(found.log_p) == pytest.approx(log_p, abs=1e-4)
    assert found.finished == finished


@pytest.mark.parametrize("prefix", [PREFIX, ()])
@pytest.mark.parametrize("batch_tokens", [4, 16, 1024])
def test_free_generation_is_what_transformers_writes_row_by_row(engine, stock, prefix, batch_tokens):
    answers = written(engine, ROWS, prefix=prefix, batch_tokens=batch_tokens)
    for row, answer in zip(ROWS, answers, strict=True):
        check(answer, own_generate(stock, (*prefix, *row), 24, engine.tokenizer.stop_ids))


def test_a_long_row_among_short_ones_is_what_transformers_writes(engine, stock):
    rows = [(5,), tuple(k % 250 + 1 for k in range(300)), (9, 8), (7,) * 70]
    for row, answer in zip(rows, written(engine, rows, batch_tokens=64), strict=True):
        check(answer, own_generate(stock, (*PREFIX, *row), 24, engine.tokenizer.stop_ids))


@pytest.mark.parametrize(
    ("configured", "made", "own"),
    [(CohereConfig, CohereForCausalLM, {"logit_scale": 0.3}),
     (GraniteConfig, GraniteForCausalLM, {"logits_scaling": 4.0}),
     (Gemma2Config, Gemma2ForCausalLM, {"head_dim": 8, "final_logit_softcapping": 2.0, "sliding_window": 96})],
    ids=["Cohere", "Granite", "Gemma2"],
)  # fmt: skip
def test_what_an_architecture_does_to_its_logits_is_in_the_probabilities(engine, configured, made, own):
    torch.manual_seed(1)
    other = made(configured(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, eos_token_id=0, bos_token_id=None, pad_token_id=1,
        initializer_range=0.3, **own,
    )).eval()  # fmt: skip
    other.set_attn_implementation("eager")
    model = LanguageModel(other, engine.tokenizer)
    rows = ROWS[:3]
    found = generate(model, model.encode_prefix(PREFIX), rows, None, 12)
    for row, answer in zip(rows, found, strict=True):
        check(answer, own_generate(other, (*PREFIX, *row), 12, (0,)))


@pytest.fixture(scope="module")
def stopping(tiny_model):
    """The same model where a tenth of its tokens end an answer, so that rows leave the batch at different times."""
    engine = TransformersEngine.load(tiny_model, dtype="float32")
    engine.tokenizer.stop_ids = tuple(range(0, 250, 10))
    return engine


@pytest.mark.parametrize("batch_tokens", [8, 48, 1024])
def test_rows_that_stop_make_room_for_others_and_change_nothing(stopping, engine, batch_tokens):
    stops = set(stopping.tokenizer.stop_ids)
    answers = written(stopping, ROWS * 3, max_tokens=40, batch_tokens=batch_tokens)
    assert len({len(answer.ids) for answer in answers}) > 3
    for answer, whole in zip(answers, written(engine, ROWS * 3, max_tokens=40), strict=True):
        end = next((n for n, token in enumerate(whole.ids) if token in stops), None)
        check(answer, (list(whole.ids[:end]), list(whole.log_p[:end]), end is not None))


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("batch_tokens", [8, 1024])
def test_forced_tokens_and_batches_change_nothing_under_a_grammar(
    engine, stock, grammar_of, kind, batch_tokens
):
    grammar = grammar_of(kind)
    rows = ROWS[:4]
    answers = written(engine, rows, grammar, max_tokens=60, batch_tokens=batch_tokens)
    for row, answer in zip(rows, answers, strict=True):
        check(answer, slow_constrained(stock, (*PREFIX, *row), grammar, 60, engine.tokenizer.stop_ids))


class Passes:
    """The forward passes of a model: of each, the tokens evaluated, and the last position after the prefix."""

    def __init__(self, engine):
        self.tokens, self.widths = [], []
        self._hook = engine.language_model.model.base_model.register_forward_pre_hook(
            self._seen, with_kwargs=True
        )

    def _seen(self, module, args, kwargs):
        if "position_ids" in kwargs:  # not the prefix
            self.tokens.append(kwargs["input_ids"].numel())
            self.widths.append(int(kwargs["position_ids"].max()) - len(PREFIX) + 1)

    def decoding(self):
        """(rows, width) of the passes that read one token of each of several rows, and no prompt."""
        pairs = zip(self.tokens, self.widths, strict=True)
        return [(rows, width) for rows, width in pairs if 1 < rows < width]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._hook.remove()


@pytest.mark.parametrize("batch_tokens", [16, 48, 80])
def test_rows_that_outgrow_the_cache_are_put_back_and_written_the_same(engine, batch_tokens):
    expected = written(engine, ROWS, max_tokens=150)
    with Passes(engine) as passes:
        found = written(engine, ROWS, max_tokens=150, batch_tokens=batch_tokens)
    for answer, whole in zip(found, expected, strict=True):
        check(answer, (list(whole.ids), list(whole.log_p), whole.finished))
    read_once = sum(len(row) + len(answer.ids) for row, answer in zip(ROWS, found, strict=True))
    assert sum(passes.tokens) > read_once + 100, "rows were read again"


def test_rows_that_are_put_back_are_written_the_same_under_a_grammar(engine, vocabulary):
    grammar = vocabulary.grammar(json.dumps(SCHEMAS["object"]))
    for answer, whole in zip(
        written(engine, ROWS, grammar, max_tokens=120, batch_tokens=40),
        written(engine, ROWS, grammar, max_tokens=120),
        strict=True,
    ):
        check(answer, (list(whole.ids), list(whole.log_p), whole.finished))


def test_rows_that_run_together_fit_into_the_cache(engine):
    with Passes(engine) as passes:
        written(engine, ROWS, max_tokens=150, batch_tokens=48)
    assert max(rows * -(-width // 64) * 64 for rows, width in passes.decoding()) <= 8 * 48
    assert {width > 128 for _, width in passes.decoding()} == {True, False}


def test_rows_of_short_answers_run_together_however_long_answers_may_be(stopping):
    with Passes(stopping) as passes:
        written(stopping, ROWS, max_tokens=100_000, batch_tokens=128)
    assert max(rows for rows, _ in passes.decoding()) > 4


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6)
LEAVES = st.one_of(
    st.just({"type": "boolean"}), st.just({"type": "null"}),
    st.lists(TEXTS, min_size=1, max_size=4, unique=True).map(lambda values: {"enum": values}),
    st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(lambda values: {"enum": [*values, None]}),
    st.integers(-99, 99).map(lambda value: {"const": value}),
)  # fmt: skip


def an_object(fields):
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


OBJECTS = st.dictionaries(TEXTS, LEAVES, min_size=1, max_size=3).map(an_object)
LISTS = OBJECTS.map(lambda items: an_object({"all": {"type": "array", "maxItems": 2, "items": items}}))


@settings(max_examples=25)
@given(st.one_of(LEAVES, OBJECTS, LISTS), st.integers(0, len(ROWS) - 3))
def test_what_a_random_model_writes_fits_any_schema_in_the_form_of_json_dumps(engine, schema, start):
    from jsonschema import validate

    for answer in ask(engine, schema, ROWS[start : start + 3], 400):
        assert answer.finished
        value = json.loads(answer.text)
        validate(value, schema)
        assert answer.text == json.dumps(value, ensure_ascii=False)
        if "properties" in schema:
            assert list(value) == list(schema["properties"])


@pytest.mark.parametrize("schema", [None, SCHEMAS["string"], SCHEMAS["fixed"]])
def test_a_truncated_answer_is_not_finished(engine, schema):
    for answer in ask(engine, schema, ROWS[:3], 5):
        assert len(answer.log_p) == 5
        assert not answer.finished


def test_an_answer_of_forced_tokens_alone_may_be_as_long_as_the_limit(engine):
    (answer,) = ask(engine, SCHEMAS["fixed"], ROWS[:1], 11)
    assert (answer.text, answer.finished) == ('"only this"', True)
    assert len(answer.log_p) == 11


def test_each_token_ends_where_its_characters_do(engine):
    (answer,) = ask(engine, {"const": "é€x𝄞"}, ROWS[:1], 40)
    assert answer.text == '"é€x𝄞"'
    assert answer.ends == (1, 1, 2, 2, 2, 3, 4, 4, 4, 4, 5, 6)
    assert len(answer.log_p) == len(answer.ends)


def test_ends_cover_a_free_text_in_order(engine):
    for answer in ask(engine, None, ROWS, 24):
        assert list(answer.ends) == sorted(answer.ends)
        assert answer.ends[-1] == len(answer.text)
        assert len(answer.ends) == len(answer.log_p)


def test_no_rows_are_no_answers(engine):
    assert ask(engine, None, (), 5) == []


def test_a_model_whose_scores_are_not_numbers_finishes_nothing_and_spoils_no_other_row(tiny_model, engine):
    broken = TransformersEngine.load(tiny_model, dtype="float32")
    with torch.no_grad():
        broken.language_model.model.get_input_embeddings().weight[99] = float("nan")
    rows = [(99, 98, 99), *[row for row in ROWS if 99 not in row]]
    bad, *good = written(broken, rows, max_tokens=12, batch_tokens=6)
    assert (bad.ids, bad.finished) == ((), False)
    for found, expected in zip(good, written(engine, rows[1:], max_tokens=12), strict=True):
        if 99 not in expected.ids:
            check(found, (list(expected.ids), list(expected.log_p), expected.finished))


@pytest.mark.model
def test_the_embedded_model_writes_the_same_json_alone_and_in_a_batch():
    engine = TransformersEngine.load(embedded_model(), dtype="float32")
    texts = ["A table for 4 at 7pm.", "Es waren drei Straßen!", "No, at noon, please; for my wife and me."]
    prefix = tuple(engine.tokenizer.encode("Write the name and the number in each text as JSON.\n"))
    rows = [(*ids, *engine.tokenizer.encode("\nJSON: ")) for ids in engine.tokenizer.encode_rows(texts)]
    schema = json.dumps(an_object({"name": {"type": ["string", "null"]}, "number": {"enum": [3, 4, None]}}))
    found = engine.generate(GenerationRequest(prefix, tuple(rows), schema, 60))
    for row, answer in zip(rows, found, strict=True):
        assert set(json.loads(answer.text)) == {"name", "number"}
        (alone,) = engine.generate(GenerationRequest(prefix, (row,), schema, 60))
        assert (answer.text, answer.ends) == (alone.text, alone.ends)
        assert answer.log_p == pytest.approx(alone.log_p, abs=1e-3)
