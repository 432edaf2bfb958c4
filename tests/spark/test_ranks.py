"""Two ranks in a barrier stage of a local session: a tiny model, trained to its end, or not."""

import json
import os
import signal
import threading

import numpy as np
import pytest

from sparklabel import registry
from sparklabel.errors import SetupError, TrainingInterrupted
from sparklabel.label_trie import label_trie
from sparklabel.language_model import ModelTokenizer, TrainingConfig, choice_examples
from sparklabel.language_model.training.run_folder import RunFolder, TrainingSpec
from sparklabel.training.launcher import run_ranks
from tests.rank_processes import rank_processes, wait_for_checkpoint

CONFIG = TrainingConfig(top_layers=2, rank=4, epochs=3, batch_size=8, learning_rate=2e-2)


@pytest.fixture(scope="module")
def base(tiny_model):
    return registry.resolve(str(tiny_model))


@pytest.fixture
def run(tiny_model, tmp_path):
    tokenizer, random = ModelTokenizer.load(tiny_model), np.random.default_rng(0)
    trie = label_trie([tokenizer.encode(label) for label in ("cat", "dog")], ("cat", "dog"))
    texts = ["".join(random.choice(list("abcdefgh"), size=size)) for size in random.integers(2, 14, size=35)]
    examples = choice_examples([(tuple(tokenizer.encode(t)), i % 2) for i, t in enumerate(texts)], trie)
    return RunFolder.of(tmp_path, TrainingSpec("tiny", CONFIG, 2), examples)


def test_two_ranks_train_one_adapter(spark, run, base):
    attempt = run.new_attempt()
    results = run_ranks(spark, run, base, attempt, 2, minutes=0)
    assert [(one.rank, one.steps) for one in results] == [(0, 15), (1, 15)]
    adapter, facts = run.done()
    assert (adapter / "adapter_model.safetensors").is_file()
    assert (facts["world_size"], len(run.progress(attempt, 0))) == (2, 15)


def test_a_rank_that_is_killed_is_an_interruption_and_the_next_attempt_goes_on(spark, run, base):
    first = run.new_attempt()

    def kill():
        wait_for_checkpoint(run.path)
        os.kill(max(rank_processes()), signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(TrainingInterrupted, match="was lost"):
        run_ranks(spark, run, base, first, 2, minutes=0)
    killer.join()
    assert run.done() is None
    second = run.new_attempt()
    run_ranks(spark, run, base, second, 2, minutes=0)
    assert len(run.progress(second, 0)) < 15


def test_a_rank_that_fails_says_why(spark, run, base):
    spec = json.loads((run.path / "spec.json").read_text())
    spec["config"]["rank"] = 0
    (run.path / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(SetupError, match=r"Rank \d failed: .*rank=0 is not valid"):
        run_ranks(spark, run, base, run.new_attempt(), 2)


def test_a_folder_that_a_host_does_not_see_is_named(spark, run, base):
    (run.path / "spec.json").unlink()
    with pytest.raises(SetupError, match="does not see the folder"):
        run_ranks(spark, run, base, run.new_attempt(), 2)
