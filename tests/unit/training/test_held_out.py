"""Models judged on held-out answers, by the tiny model. Against a real MLflow on SQLite."""

import pytest

from sparklabel import classification, registry
from sparklabel.table.human_answers import HumanAnswer, HumanAnswers
from sparklabel.training.held_out import HeldOutJudge

pytestmark = pytest.mark.usefixtures("store", "one_thread")
TONE = classification("tone", "text", ["calm", "angry"])
WORDY = classification("tone", "text", ["calm", "angry"], "Judge. " * 100)  # the tiny model reads 512 bytes


def human(n, answer):
    return HumanAnswer((f"row {n}",), answer, True)


@pytest.fixture
def base(tiny_model):
    return registry.resolve(str(tiny_model))


def judge_of(task, base, held_out=120):
    answers = [human(n, "calm" if n % 3 else "angry") for n in range(held_out + 10)]
    return HeldOutJudge(
        task, base, HumanAnswers(tuple(answers[held_out:]), tuple(answers[:held_out]), {}), "nothing"
    )


def test_a_model_gains_nothing_over_itself(base):
    gate, baseline = judge_of(TONE, base).gate(base, champion=None)
    assert (baseline, gate.verdict, gate.n) == ("the base", "inconclusive", 120)
    assert (gate.gain, gate.lower95, gate.upper95) == (0, 0, 0)
    assert 0 < gate.accuracy_new < 1


def test_a_calibrator_is_fitted_to_enough_held_out_answers_only(base):
    assert judge_of(TONE, base).calibrator(base).temperature > 0
    assert judge_of(TONE, base, held_out=40).calibrator(base) is None


def test_without_a_champion_nothing_is_served(base):
    assert judge_of(TONE, base).champion() is None


def test_a_champion_that_cannot_be_fetched_leaves_a_finished_training_undecided(
    base, tiny_model, tmp_path, adapter_folder, log, monkeypatch
):
    name = "unreachable"
    registry.promote(name, log(adapter_folder(tmp_path / "tuned", base), name), replacing=None)
    judge = HeldOutJudge(TONE, base, HumanAnswers((human(0, "calm"),), (human(1, "angry"),), {}), name)

    def lost(**_):
        raise ConnectionError("503 from the store")

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", lost)
    gate, baseline = judge.gate(base, champion="1")
    assert (baseline, gate.verdict, gate.n) == ("the champion", "inconclusive", 0)
    assert "503 from the store" in gate.reason
    assert judge.champion() == f"models:/{name}/1"
