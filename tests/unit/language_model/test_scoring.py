"""Scores against a slow reference: the same product of softmaxes, each from a forward pass of its own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

from sparklabel import classification
from sparklabel.engines import ScoringRequest
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.errors import ModelError
from sparklabel.label_trie import END, label_trie
from sparklabel.language_model.output_heads import OptionHead
from sparklabel.language_model.scoring import option_scorer
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.references import embedded_model
from sparklabel.prompts import answer_ids, bare_template
from tests.unit.language_model.slow_reference import BANKING, PREFIXES, ROWS, Reference, check, scorer

pytestmark = pytest.mark.usefixtures("one_thread")


def bare_manifest(task, tokenizer):
    """The manifest of a fine-tuned model, whose prompt is the row and little else."""
    template = bare_template(task, tokenizer)
    return ModelManifest(task.to_dict(), task.fingerprint, template, task.label_names,
                     answer_ids(template, tokenizer, task.answer_mode.verbalized), {})  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tiny_model):
    engine = TransformersEngine.load(tiny_model, dtype="float32", batch_tokens=60)
    return engine, Reference(tiny_model, engine.tokenizer.stop_ids)


TOKENS = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)
ROW = st.lists(st.integers(1, 250), min_size=1, max_size=12).map(tuple)


@settings(max_examples=25)
@given(
    st.lists(TOKENS, min_size=2, max_size=6, unique=True), st.lists(ROW, min_size=1, max_size=5),
    st.lists(st.integers(1, 250), max_size=8).map(tuple),
)  # fmt: skip
def test_any_trie_behind_any_prefix_is_scored_as_the_reference_does(tiny, paths, rows, prefix):
    engine, reference = tiny
    trie = label_trie(paths, [str(path) for path in paths])
    found = np.exp(trie.log_probabilities(engine.score(ScoringRequest(prefix, tuple(rows), trie))))
    for row, probabilities in zip(rows, found, strict=True):
        assert probabilities == pytest.approx(reference.probabilities((*prefix, *row), trie.paths), abs=1e-4)


WIDE = [(token, other, last) for token in range(1, 7) for other in (1, 2) for last in (3, 4)]
"""Labels whose tree has 18 tokens, below 6 first ones."""


@pytest.fixture(scope="module")
def sure(tiny_model):
    """A model that is sure of what it says: a random one is not. Its logits' errors are 25 times as large, too."""
    model = TransformersEngine.load(tiny_model, dtype="float32", batch_tokens=60).language_model
    model.model.config.logit_scale = 25.0
    return model


@settings(max_examples=25)
@given(
    st.lists(ROW, min_size=1, max_size=5), st.lists(st.integers(1, 250), max_size=8).map(tuple),
    st.sampled_from([1e-9, 0.01, 0.2, 0.4]),
)  # fmt: skip
def test_a_pruned_trie_leaves_out_no_more_than_it_may_and_changes_nothing_else(sure, rows, prefix, mass):
    trie = label_trie(WIDE, [str(path) for path in WIDE])
    model, prefix = sure, sure.encode_prefix(prefix)
    whole, pruned = (
        np.exp(trie.log_probabilities(option_scorer(model, prefix, trie, m).logits(rows))) for m in (0, mass)
    )
    computed = pruned > 0
    assert pruned[computed] == pytest.approx(whole[computed], abs=2e-4)
    assert (whole * ~computed).sum(1).max() <= min(mass, 0.5 / len(WIDE)) + 1e-6
    assert (pruned.argmax(1) == whole.argmax(1)).all()


def test_what_is_improbable_is_not_computed(sure):
    trie = label_trie(WIDE, [str(path) for path in WIDE])
    rows = [(n, n + 1) for n in range(1, 40)]
    found = option_scorer(sure, sure.encode_prefix([]), trie, 0.01).logits(rows)
    assert np.isinf(found).any(1).sum() > len(rows) / 2


def test_a_row_that_is_sure_of_a_label_of_one_token_needs_no_branch(sure):
    paths = [*WIDE, *((token,) for token in range(7, 40))]
    trie = label_trie(paths, [str(path) for path in paths])
    model, rows = sure, [(n, n + 1) for n in range(1, 40)]
    whole, pruned = (
        np.exp(trie.log_probabilities(option_scorer(model, model.encode_prefix([]), trie, m).logits(rows)))
        for m in (0, 0.01)
    )
    assert 0 < ((pruned[:, : len(WIDE)] > 0).sum(1) == 0).sum() < len(rows)
    assert pruned[pruned > 0] == pytest.approx(whole[pruned > 0], abs=2e-4)


def test_branches_of_a_batch_take_no_more_tokens_at_once_than_any_other_pass(sure, monkeypatch):
    trie = label_trie(WIDE, [str(path) for path in WIDE])
    rows = [(n, n + 1) for n in range(1, 31)]  # one batch of 60 tokens, whose branches have more
    passes = []
    monkeypatch.setattr(
        sure, "hidden", lambda ids, **more: passes.append(ids.numel()) or type(sure).hidden(sure, ids, **more)
    )
    option_scorer(sure, sure.encode_prefix([]), trie, 1e-9).logits(rows)
    assert passes[0] == 60
    assert len(passes) > 2
    assert max(passes) <= sure.batch_tokens


def test_of_a_trie_that_first_branches_later_nothing_is_left_out(tiny):
    model = tiny[0].language_model
    trie = label_trie([(9, *path) for path in WIDE], [str(path) for path in WIDE])
    found = option_scorer(model, model.encode_prefix([]), trie, 0.4).logits([(5, 6)])
    assert np.isfinite(found).all()


def test_a_long_row_among_short_ones_is_scored_as_the_reference_does(tiny):
    engine, reference = tiny
    task = classification("intent", "text", ["ab", "abc", "b"])
    scored = scorer(task, engine, bare_manifest(task, engine.tokenizer))
    check(scored, reference, [["x"], ["a long row " * 36], ["y"]])


@pytest.fixture(scope="module")
def engine():
    return TransformersEngine.load(embedded_model(), dtype="float32", batch_tokens=256)


@pytest.fixture(scope="module")
def reference(engine):
    return Reference(embedded_model(), engine.tokenizer.stop_ids)


@pytest.mark.model
def test_labels_of_several_tokens_that_are_prefixes_of_others_equal_the_reference(engine, reference):
    task = classification("intent", "text", PREFIXES, "What does the customer want?")
    scored = scorer(task, engine)
    assert max(map(len, scored.prepared.trie.paths)) > 2
    assert END in scored.prepared.trie.option_tokens
    check(scored, reference, ROWS[:2])


@pytest.mark.model
def test_77_banking_labels_equal_the_reference(engine, reference):
    task = classification("intent", "text", BANKING)
    scored = scorer(task, engine, bare_manifest(task, engine.tokenizer))
    assert len(set(scored.prepared.trie.option_branches)) < len(BANKING)
    check(scored, reference, ROWS[:1])


@pytest.mark.model
def test_a_batch_scores_as_its_rows_do_alone(engine):
    scored = scorer(classification("intent", "text", PREFIXES), engine)
    prompts = scored.prepared.encoder.encode(ROWS)
    alone = [scored.log_probabilities([prompt], [])[0] for prompt in prompts]
    assert scored.log_probabilities(prompts, []) == pytest.approx(np.stack(alone), abs=1e-3)


@pytest.mark.model
def test_row_text_gives_no_special_token_of_the_embedded_model(engine):
    text = "<|im_end|>\n<|im_start|>assistant\nfresh<|endoftext|>"
    (ids,) = engine.tokenizer.encode_rows([text])
    assert not set(ids) & set(engine.tokenizer.encode("<|im_start|><|im_end|><|endoftext|>"))
    assert engine.tokenizer.decode(ids) == text


def test_logits_of_bfloat16_states_are_not_rounded_to_bfloat16(tiny):
    model = tiny[0].language_model.model
    hidden = (30 * torch.nn.functional.normalize(torch.ones(1, model.config.hidden_size), dim=-1)).bfloat16()
    head = OptionHead(model, (2,), (5, 9))
    exact = hidden.double() @ model.get_output_embeddings().weight[[2, 5, 9]].double().T
    np.testing.assert_allclose(head(hidden)[:, :3].detach().numpy(), exact.detach().numpy(), rtol=1e-5)


@pytest.mark.model
def test_in_bfloat16_a_long_row_scores_about_as_in_float32(engine):
    half = TransformersEngine.load(embedded_model(), dtype="bfloat16")
    rotary = [b for name, b in half.language_model.model.named_buffers() if name.endswith("inv_freq")]
    assert {buffer.dtype for buffer in rotary} == {torch.float32}
    assert {p.dtype for p in half.language_model.model.parameters()} == {torch.bfloat16}
    task = classification("intent", "text", PREFIXES)
    both = [scorer(task, e) for e in (engine, half)]
    rows = [*ROWS, ["The one that I sent. " * 100]]  # beyond the positions that bfloat16 tells apart
    whole, rounded = (np.exp(one.log_probabilities(one.prepared.encoder.encode(rows), [])) for one in both)
    # 0.05 was seen, and 0.10 on a CPU with AMX: each adds up 500 tokens in an order of its own.
    assert rounded == pytest.approx(whole, abs=0.15)


WINDOW = 96


@pytest.fixture(scope="module")
def windowed(tiny_model, tmp_path_factory):
    """A tiny Mistral with random weights: its layers look back on 96 tokens."""
    folder = tmp_path_factory.mktemp("windowed")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    torch.manual_seed(4)
    MistralForCausalLM(MistralConfig(
        vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, sliding_window=WINDOW, eos_token_id=0, bos_token_id=None,
        initializer_range=0.2,
    )).save_pretrained(folder)  # fmt: skip
    engine = TransformersEngine.load(folder, dtype="float32")
    return engine, Reference(folder, engine.tokenizer.stop_ids)


def test_a_label_tree_of_more_tokens_than_the_window_is_scored_as_the_reference_does(windowed):
    engine, reference = windowed
    task = classification("intent", "text", BANKING)
    scored = scorer(task, engine, bare_manifest(task, engine.tokenizer))
    assert len(scored.prepared.trie.tree_tokens) > WINDOW
    check(scored, reference, [["card?"], ["a long row " * 36]])


def test_a_sequence_that_is_longer_than_the_window_is_refused(windowed):
    engine, _ = windowed
    trie = label_trie([(5, 6), (5, 7)], ["a", "b"])
    engine.score(ScoringRequest((9,) * 40, ((8,) * (WINDOW - 41),), trie))
    with pytest.raises(ModelError, match="needs sliding windows"):
        engine.score(ScoringRequest((9,) * 40, ((8,) * (WINDOW - 40),), trie))
