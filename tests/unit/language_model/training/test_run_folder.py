"""The folder that the processes of a training share."""

from dataclasses import asdict, replace

import pytest

from sparklabel.errors import ModelError, ModelUnreachable, TrainingInterrupted
from sparklabel.label_trie import Step
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.examples import TrainingExample
from sparklabel.language_model.training.loop import StepMetrics
from sparklabel.language_model.training.run_folder import RunFolder, TrainingSpec

SPEC = TrainingSpec("base@sha256:0", TrainingConfig(epochs=2, target_modules=("q_proj",)), choices=2)
EXAMPLES = [
    TrainingExample((1, 2, 3), (), (Step(0, (5, 6), 1),)),
    TrainingExample((4,), (7, 8), (Step(0, (), 7), Step(1, (), 8))),
]


@pytest.fixture
def run(tmp_path):
    return RunFolder.of(tmp_path, SPEC, EXAMPLES)


def test_what_was_written_is_read_back(run):
    assert (run.spec, run.examples()) == (SPEC, EXAMPLES)


def test_the_same_training_has_the_same_folder_and_any_other_one_another(run, tmp_path):
    assert RunFolder.of(tmp_path, SPEC, EXAMPLES) == run
    assert RunFolder.of(tmp_path, SPEC, EXAMPLES[::-1]) != run
    assert RunFolder.of(tmp_path, replace(SPEC, choices=None), EXAMPLES) != run


def test_each_attempt_has_a_folder_of_its_own(run):
    assert [run.new_attempt() for _ in range(3)] == [1, 2, 3]
    assert run.attempt(3).is_dir()


def test_a_training_is_done_when_an_attempt_says_so(run):
    run.new_attempt()
    assert run.done() is None
    run.finish(1, {"steps": 4})
    assert run.done() == (run.attempt(1) / "adapter", {"steps": 4})


def test_progress_is_read_line_by_line_and_never_half_a_line(run):
    run.new_attempt()
    assert run.progress(1, 0) == []
    first = StepMetrics(step=1, steps=9, epoch=1, loss=0.5, learning_rate=1e-3, tokens=7, seconds=0.1)
    second = replace(first, step=2)
    for step in (first, second):
        run.tell(1, step)
    with open(run.attempt(1) / "progress.jsonl", "a", encoding="utf-8") as lines:
        lines.write('{"step": 3')
    assert run.progress(1, 0) == [asdict(first), asdict(second)]
    assert run.progress(1, 1) == [asdict(second)]


@pytest.mark.parametrize(
    ("error", "cls", "message"),
    [
        (ModelError("No layers.", hint="Name others."), ModelError, "Rank 1 failed: No layers.\n  Name others."),
        (ModelUnreachable("The hub is busy."), TrainingInterrupted, "Rank 1 failed: The hub is busy."),
        (ValueError("a bug"), ModelError, "Rank 1 failed: ValueError: a bug"),
    ],
)  # fmt: skip
def test_why_a_rank_has_failed_is_said_as_it_said_it(run, error, cls, message):
    run.fail(run.new_attempt(), 1, error)
    found = run.failure(1)
    assert (type(found), str(found)) == (cls, message)


def test_a_folder_is_removed_whole_and_can_be_made_again(run, tmp_path):
    run.remove()
    run.remove()
    assert list(tmp_path.iterdir()) == []
    assert RunFolder.of(tmp_path, SPEC, EXAMPLES).examples() == EXAMPLES
