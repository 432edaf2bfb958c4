"""Versions that are whole models, of an instruction tuning: pinned, checked, and what adapters may stand on."""

import shutil

import mlflow
import pytest

from sparklabel import registry
from sparklabel.cache_dir import cache_folder
from sparklabel.errors import ModelError
from sparklabel.models.manifest import ModelManifest

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def whole(tmp_path, base, model_folder, log):
    """`whole(name)`: the reference of a new version that is a whole model."""

    def make(name):
        folder = tmp_path / name
        model_folder(folder / registry.WHOLE)
        manifest = ModelManifest.for_any_task(registry.base_record(base), is_whole=True)
        (folder / registry.MANIFEST).write_text(manifest.to_json())
        return f"models:/{name}/{log(folder, name)}"

    return make


def test_a_whole_model_needs_no_other(whole):
    model = registry.resolve(whole("labeler"))
    files = registry.fetch(model)
    assert (model.base, files.adapter) == (None, None)
    assert (files.base / "config.json").is_file()
    assert registry.tokenizer_folder(model) == files.base


def test_a_whole_model_whose_files_were_changed_is_refused(whole):
    model = registry.resolve(whole("spoiled"))
    registry.fetch(model)
    shutil.rmtree(cache_folder("models") / f"adapter-{model.sha256[:32]}")
    with open(f"{model.location}/model/config.json", "a") as file:
        file.write(" ")
    with pytest.raises(ModelError, match="not those that were registered"):
        registry.fetch(model)


def test_a_manifest_for_any_task_is_read_as_it_was_written(base):
    manifest = ModelManifest.for_any_task(registry.base_record(base), is_whole=False)
    assert ModelManifest.from_json(manifest.to_json()) == manifest


def test_an_adapter_may_stand_on_a_whole_model_which_is_pinned(whole, tmp_path, adapter_folder, log):
    reference = whole("ground")
    base = registry.resolve(reference)
    log(adapter_folder(tmp_path / "tuned", base, 3.0), "upper")
    model = registry.resolve("models:/upper/1")
    assert model.base == base
    assert registry.fetch(model).base == registry.fetch(base).base


def test_an_adapter_whose_whole_model_is_gone_says_so(whole, tmp_path, adapter_folder, log):
    base = registry.resolve(whole("lost"))
    log(adapter_folder(tmp_path / "tuned", base, 4.0), "bereft")
    mlflow.MlflowClient().delete_model_version("lost", "1")
    with pytest.raises(ModelError, match=r"was trained on models:/lost/1@sha256:.*, which is not here"):
        registry.resolve("models:/bereft/1")
