"""Fine-tuning with a tiny random model: what is learned, what is saved, what is left behind."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sparklabel.errors import AnswersError
from sparklabel.label_trie import LabelTrie, label_trie
from sparklabel.language_model import LanguageModel
from sparklabel.language_model.partial_forward import DecoderStack, hidden_features, upper_half
from sparklabel.language_model.scoring import option_scorer
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.dataset import Sequences
from sparklabel.language_model.training.examples import TrainingExample, choice_examples, text_examples
from sparklabel.language_model.training.loop import StepMetrics, TrainingSummary
from sparklabel.language_model.training.loss import AnswerLoss
from sparklabel.language_model.training.trainer import train_lora

RIGHT = [i % 4 for i in range(64)]
LABELS = ("cat", "cat food", "car", "dog")
CONFIG = TrainingConfig(top_layers=3, rank=8, lora_alpha=16, epochs=10, learning_rate=2e-2, batch_size=16)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only get into each other's way in matrices this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> LanguageModel:
    return LanguageModel.load(tiny_model, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def trie(model: LanguageModel) -> LabelTrie:
    return label_trie([model.tokenizer.encode(label) for label in LABELS], LABELS)


@pytest.fixture(scope="module")
def examples(model: LanguageModel, trie: LabelTrie) -> list[TrainingExample]:
    """The last letter decides the label; the rest is noise of several lengths."""
    random = np.random.default_rng(0)
    noise = [
        "".join(random.choice(list("abcdefgh"), size=length)) for length in random.integers(2, 14, size=64)
    ]
    prompts = [
        tuple(model.tokenizer.encode(f"{text}{'wxyz'[i]}")) for text, i in zip(noise, RIGHT, strict=True)
    ]
    return choice_examples(zip(prompts, RIGHT, strict=True), trie)


@pytest.fixture(scope="module")
def trained(
    model: LanguageModel,
    trie: LabelTrie,
    examples: list[TrainingExample],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, TrainingSummary, list[StepMetrics], str, str]:
    folder, seen = tmp_path_factory.mktemp("adapter"), []
    before = fingerprint(model)
    summary = train_lora(model, examples, CONFIG, folder, seen.append)
    return folder, summary, seen, before, fingerprint(model)


def fingerprint(model: LanguageModel) -> str:
    """Everything that training could leave behind in a model, as text."""
    inner = model.model
    weights = [
        (name, p.requires_grad, p.dtype, p.detach().double().sum().item())
        for name, p in inner.named_parameters()
    ]
    modules = [
        (name, type(module).__name__, len(module._forward_hooks)) for name, module in inner.named_modules()
    ]
    return repr((weights, modules, sorted(vars(inner)), inner.training, inner.config.to_dict()))


def scores(model: LanguageModel, trie: LabelTrie, examples: list[TrainingExample]) -> np.ndarray:
    scorer = option_scorer(model, model.encode_prefix([]), trie)
    return trie.log_probabilities(scorer.logits([e.prompt for e in examples]))


Trained = tuple[Path, TrainingSummary, list[StepMetrics], str, str]


def test_a_separable_task_is_learned(
    tiny_model: Path, trie: LabelTrie, examples: list[TrainingExample], trained: Trained
):
    folder, summary, seen, _, _ = trained
    answers = scores(LanguageModel.load(tiny_model, folder, dtype="float32", device="cpu"), trie, examples)
    assert (answers.argmax(1) == RIGHT).mean() == 1.0
    assert summary.loss < 0.1 < seen[0].loss


def test_the_first_loss_is_what_scoring_says(
    model: LanguageModel, trie: LabelTrie, examples: list[TrainingExample], tmp_path: Path
):
    seen: list[StepMetrics] = []
    train_lora(model, examples, replace(CONFIG, epochs=1, batch_size=64), tmp_path, seen.append)
    expected = -scores(model, trie, examples)[np.arange(64), RIGHT].mean()
    assert seen[0].loss == pytest.approx(expected, abs=1e-5)


def test_the_saved_adapter_is_what_was_trained(
    model: LanguageModel, trie: LabelTrie, examples: list[TrainingExample], tiny_model: Path, tmp_path: Path
):
    # A learning rate that is 0 in the last step: its loss is the saved adapter's.
    seen: list[StepMetrics] = []
    config = replace(CONFIG, epochs=30, batch_size=64)
    train_lora(model, examples, config, tmp_path, seen.append)
    saved = scores(LanguageModel.load(tiny_model, tmp_path, dtype="float32", device="cpu"), trie, examples)
    assert -saved[np.arange(64), RIGHT].mean() == pytest.approx(seen[-1].loss, rel=0.05)


def test_the_model_comes_out_unchanged(trained: Trained):
    assert trained[3] == trained[4]


def test_the_model_comes_out_unchanged_when_training_is_interrupted(
    model: LanguageModel, trie: LabelTrie, examples: list[TrainingExample], tmp_path: Path
):
    def stop(step: StepMetrics) -> None:
        raise KeyboardInterrupt

    before = fingerprint(model)
    with pytest.raises(KeyboardInterrupt):
        train_lora(model, examples, CONFIG, tmp_path, stop)
    assert fingerprint(model) == before


def test_the_same_seed_gives_the_same_adapter(
    model: LanguageModel, trie: LabelTrie, examples: list[TrainingExample], tmp_path: Path
):
    saved = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_lora(model, examples, replace(CONFIG, epochs=1, seed=seed), tmp_path / name)
        saved.append(load_file(tmp_path / name / "adapter_model.safetensors"))
    assert all(torch.equal(saved[0][key], saved[1][key]) for key in saved[0])
    assert any(not torch.equal(saved[0][key], saved[2][key]) for key in saved[0])


def test_sequences_that_do_not_fit_the_cache_are_recomputed(
    model: LanguageModel, trie: LabelTrie, examples: list[TrainingExample]
):
    def losses(cache_bytes: int) -> list[float]:
        sequences, loss = Sequences(model, examples, 2, cache_bytes), AnswerLoss(model, examples)
        indices = [[0, 1, 2], [60, 61, 62]]
        return [loss(sequences.run(s, p), a).item() for s, p, a in map(sequences.batch, indices)]

    assert losses(64 * 4 * 200) == pytest.approx(losses(2**30), rel=1e-5)


@pytest.mark.parametrize("first", [0, 1, 3])
def test_both_halves_give_what_the_whole_model_gives(model: LanguageModel, first: int):
    ids, positions = torch.arange(1, 31).view(2, 15), torch.tensor([3, 14, 20])
    stack = DecoderStack.of(model.model)
    with torch.no_grad(), model.own_attention():
        whole = model.hidden(ids).flatten(0, 1)[positions]
        half = upper_half(model, first, ids)
        assert half is not None
        torch.testing.assert_close(half(stack.below(first, ids), positions), whole, rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_plain_peft(
    model: LanguageModel, trie: LabelTrie, examples: list[TrainingExample]
):
    from peft import LoraConfig, get_peft_model

    from sparklabel.language_model.training.lora import Adapter

    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], layers_to_transform=[2, 3])
    config.init_lora_weights = False
    sequences, loss = Sequences(model, examples, 2, 2**30), AnswerLoss(model, examples)
    wrapped = get_peft_model(model.model, config)
    try:
        states, positions, answers = sequences.batch([0])
        ids = torch.tensor([examples[0].prompt + examples[0].answer])
        expected_loss = loss(model.hidden(ids).flatten(0, 1)[positions], answers)
        weights = [p for p in wrapped.parameters() if p.requires_grad]
        expected = torch.cat([g.flatten() for g in torch.autograd.grad(expected_loss, weights)])
        adapter = Adapter(wrapped)
        with model.own_attention():
            adapter.backward([loss(sequences.run(states, positions), answers)])
        torch.testing.assert_close(adapter.master.grad, expected, rtol=1e-3, atol=1e-5)
    finally:
        wrapped.unload()
        model.model.requires_grad_(True)


def test_probe_features_are_mean_and_last_token_of_a_layer(
    model: LanguageModel, examples: list[TrainingExample]
):
    rows = [example.prompt for example in examples[:5]]
    found = hidden_features(model, rows, 2)
    with torch.no_grad():
        states = model.model(torch.tensor([rows[3]]), output_hidden_states=True).hidden_states[2][0]
    np.testing.assert_allclose(found[3], torch.cat([states.mean(0), states[-1]]).numpy(), atol=1e-5)


def test_a_batch_in_parts_gives_the_same_loss(
    model: LanguageModel, examples: list[TrainingExample], tmp_path: Path
):
    first, before = [], model.batch_tokens
    for tokens in (before, 20):
        model.batch_tokens, seen = tokens, []
        train_lora(model, examples, replace(CONFIG, epochs=1, batch_size=64), tmp_path, seen.append)
        first.append(seen[0].loss)
    model.batch_tokens = before
    assert first[0] == pytest.approx(first[1], rel=1e-5)


def test_nothing_to_learn_is_an_error(
    model: LanguageModel, trie: LabelTrie, examples: list[TrainingExample], tmp_path: Path
):
    with pytest.raises(AnswersError, match="nothing to learn"):
        train_lora(model, [], CONFIG, tmp_path)


def test_the_loss_of_a_written_answer_is_that_of_the_whole_vocabulary(model: LanguageModel):
    (example,) = text_examples([((1, 2, 3), (4, 5))], stop=7)
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(
            model.model(ids).logits[0, 2:], torch.tensor([4, 5, 7]), reduction="sum"
        )
        sequences = Sequences(model, [example], 0, 2**20)
        states, positions, steps = sequences.batch([0])
        found = AnswerLoss(model, [example])(sequences.run(states, positions), steps)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_over_the_vocabulary_is_the_same_in_parts(model: LanguageModel):
    examples = text_examples([((1, 2, 3), (4, 5)), ((6,), (7, 8, 9))], stop=7)
    sequences = Sequences(model, examples, 0, 2**20)
    states, positions, steps = sequences.batch([0, 1])
    found = []
    for logits_at_once in (2**26, 1):
        hidden = sequences.run(states, positions).detach().requires_grad_()
        loss = AnswerLoss(model, examples, logits_at_once)(hidden, steps)
        found.append((loss.detach(), *torch.autograd.grad(loss, hidden)))
    torch.testing.assert_close(found[0], found[1])


def test_written_answers_are_learned(model: LanguageModel, examples: list[TrainingExample], tmp_path: Path):
    seen: list[StepMetrics] = []
    answers = [((4, 5), (6,))[i % 2] for i in RIGHT]
    written = text_examples(((e.prompt, a) for e, a in zip(examples, answers, strict=True)), stop=7)
    summary = train_lora(model, written, replace(CONFIG, epochs=40), tmp_path, seen.append)
    assert summary.loss < 0.2 * seen[0].loss


def test_a_single_label_leaves_nothing_to_learn():
    assert choice_examples([((1, 2), 0)], label_trie([(5,)], ["one"])) == []
