"""Whom a new version has to beat, found before anything is trained. Against a real MLflow on SQLite."""

import json
import shutil

import pytest

from sparklabel import classification, registry
from sparklabel.errors import ModelError, ModelUnreachable
from sparklabel.language_model import ModelTokenizer
from sparklabel.models.manifest import ModelManifest
from sparklabel.prompts import answer_ids, bare_template
from sparklabel.training.baseline import MOST_FREQUENT, find_baseline

# MLflow's own use of SQLAlchemy; nothing that we can change.
pytestmark = pytest.mark.usefixtures("store")
TASK = classification("tone", "text", ["calm", "angry"])
WORDY = classification("tone", "text", ["calm", "angry"], "Judge. " * 100)  # the tiny model reads 512 bytes


@pytest.fixture
def tiny(tiny_model, tmp_path):
    """A copy of the tiny model, to be moved about."""
    return registry.resolve(str(shutil.copytree(tiny_model, tmp_path / "tiny")))


@pytest.fixture
def champion(request, tiny, tmp_path, adapter_folder, log):
    """A registered model's name, whose version 1, for TASK on the tiny model, is the champion."""
    folder = adapter_folder(tmp_path / "tuned", tiny)
    tokenizer = ModelTokenizer.load(tmp_path / "tiny")
    template = bare_template(TASK, tokenizer)
    ids = answer_ids(template, tokenizer, TASK.answer_mode.verbalized)
    manifest = ModelManifest(
        TASK.to_dict(), TASK.fingerprint, template, TASK.label_names, ids, registry.base_record(tiny)
    )
    (folder / "sparklabel.json").write_text(json.dumps(manifest.to_dict()))
    name = request.node.name
    registry.promote(name, log(folder, name), replacing=None)
    return name


def test_without_a_champion_the_base_is_to_be_beaten(tiny):
    found = find_baseline(TASK, tiny, "nothing", None)
    assert (found.name, found.model, found.note) == ("the base", tiny, "")


def test_the_champion_is_to_be_beaten(tiny, champion):
    found = find_baseline(TASK, tiny, champion, "1")
    assert (found.name, found.note) == ("the champion", "")
    assert found.model == registry.resolve(f"models:/{champion}/1")


def test_a_champion_whose_base_is_gone_gives_way_to_the_base_and_the_reason_is_kept(
    tiny_model, champion, tmp_path
):
    (tmp_path / "tiny").rename(tmp_path / "elsewhere")
    here = registry.resolve(str(tiny_model))
    found = find_baseline(TASK, here, champion, "1")
    assert (found.name, found.model) == ("the base", here)
    assert found.note.startswith("The champion, version 1, was not asked: ")
    assert "which is not here" in found.note


def test_a_champion_whose_files_are_gone_gives_way_to_the_base(tiny, champion):
    shutil.rmtree(f"{registry.resolve(f'models:/{champion}/1').location}/adapter")
    assert "are not those that were registered" in find_baseline(TASK, tiny, champion, "1").note


def test_a_champion_that_cannot_be_fetched_now_is_not_passed_over(tiny, champion, monkeypatch):
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", lost)
    with pytest.raises(ModelUnreachable, match=r"The champion, version 1 of .* has to be beaten, but: .*503"):
        find_baseline(TASK, tiny, champion, "1")


def lost(**_):
    raise ConnectionError("503 from the store")


def test_a_champion_of_another_task_gives_way_to_the_base(tiny, champion):
    other = classification("tone", "text", ["calm", "angry", "sad"])
    found = find_baseline(other, tiny, champion, "1")
    assert found.name == "the base"
    assert "was fine-tuned for another task" in found.note


def test_a_champion_is_asked_although_the_base_would_not_understand_the_instructions(tiny, champion):
    assert find_baseline(WORDY, tiny, champion, "1").name == "the champion"


def test_where_the_instructions_do_not_fit_the_base_the_most_frequent_answer_is_to_be_beaten(tiny):
    found = find_baseline(WORDY, tiny, "nothing", None)
    assert (found.name, found.model) == (MOST_FREQUENT, None)
    assert "of the model's 512 tokens of context" in found.note


def test_a_base_that_does_not_load_is_an_error(tmp_path, model_folder):
    base = registry.resolve(str(model_folder(tmp_path / "empty")))
    with pytest.raises(ModelError, match="does not load"):
        find_baseline(TASK, base, "nothing", None)
