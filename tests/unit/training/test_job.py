"""One training, by the tiny model: what it leaves in its folder and says. Against a real MLflow on SQLite."""

import pytest

from sparklabel import classification, registry
from sparklabel.language_model import TrainingConfig
from sparklabel.models.manifest import ModelManifest
from sparklabel.table.human_answers import HumanAnswer, HumanAnswers
from sparklabel.training import job as job_module
from sparklabel.training.attempts import train_here
from sparklabel.training.classifier_fit import sentence_probe
from sparklabel.training.control import RunControl
from sparklabel.training.job import TrainingJob

pytestmark = pytest.mark.usefixtures("store", "one_thread")
TONE = classification("tone", "text", ["calm", "angry"])
CONFIG = TrainingConfig(top_layers=1, epochs=1, batch_size=8, max_tokens=80)


def answers(numbers, text):
    return tuple(HumanAnswer((f"{text} {n}",), "angry" if n % 2 else "calm", True) for n in numbers)


@pytest.fixture(scope="module")
def trained(store, tiny_model, tmp_path_factory):
    """A job on 16 answers, two of which are long; its outcome, folder and run."""
    train = answers(range(14), "row") + answers(range(2), "long " * 40)
    base = registry.resolve(str(tiny_model))
    job = TrainingJob.prepare(TONE, base, HumanAnswers(train, answers(range(20, 26), "row"), {}), CONFIG)
    folder = tmp_path_factory.mktemp("trained")
    with registry.start_run("training", experiment="tests") as run:
        return job, job.train(train_here, folder, run, RunControl(progress=False)), folder, run.id


def test_the_folder_has_an_adapter_and_a_manifest_that_fits_the_task(trained):
    job, _, folder, _ = trained
    manifest = ModelManifest.from_json((folder / registry.MANIFEST).read_text())
    manifest.check_fits(TONE, "the new version")
    assert manifest.base == registry.base_record(job.base)
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()


def test_prompts_that_were_truncated_are_counted(trained):
    assert trained[1].truncated == 2


def test_the_probe_is_judged_on_the_held_out_answers(trained):
    assert trained[1].probe_accuracy in [n / 6 for n in range(7)]


def test_the_better_probe_counts(trained, monkeypatch):
    monkeypatch.setattr(job_module, "probe_answers", lambda *_: [(None, 0.0)] * 6)
    monkeypatch.setattr(job_module, "sentence_probe", lambda task, train, test: 0.5)
    assert trained[0]._probes(trained[0]._load) == {"hidden states": 0.0, "sentence vectors": 0.5}


@pytest.mark.model
def test_a_probe_of_sentence_vectors_tells_topics_apart():
    texts = [("calm", "a quiet lake at dawn"), ("angry", "the furious crowd shouted")]
    answers = [HumanAnswer((f"{text}, number {n}",), label, None) for n in range(20) for label, text in texts]
    assert sentence_probe(TONE, answers[:30], answers[30:]) == 1.0


def test_the_run_has_the_settings_that_were_chosen(trained):
    import mlflow

    _, outcome, _, run_id = trained
    run = mlflow.get_run(run_id)
    assert (run.data.params["recipe.epochs"], run.data.params["recipe.max_tokens"]) == ("1", "80")
    assert len(mlflow.MlflowClient().get_metric_history(run_id, "loss")) == outcome.summary.steps == 2
