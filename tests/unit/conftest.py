"""What several unit tests need: one real MLflow on SQLite; and torch kept small."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparklabel import registry
from sparklabel.models.manifest import ModelManifest
from sparklabel.prompts import PromptTemplate
from sparklabel.tasks import classification

VERDICT = classification("verdict", "text", ["a", "b"])


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory, new_mlflow_store):
    folder = tmp_path_factory.mktemp("store")
    new_mlflow_store(folder)
    return folder


@pytest.fixture(scope="module")
def store(store_folder):
    """The folder of the store, which MLflow and our cache use while a module's tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_folder}/mlflow.db")
        patch.setenv("SPARKLABEL_CACHE", str(store_folder / "cache"))
        yield store_folder


@pytest.fixture(scope="session")
def model_folder():
    """Makes a folder that passes for a base model."""

    def make(folder, value=1.0):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text("{}")
        save_file({"w": np.full(4, value, dtype=np.float32)}, folder / "model.safetensors")
        return folder

    return make


@pytest.fixture(scope="session")
def adapter_folder():
    """Makes a folder that passes for a fine-tuned model on `base`."""

    def make(folder, base, value=1.0):
        (folder / "adapter").mkdir(parents=True)
        (folder / "adapter" / "adapter_config.json").write_text("{}")
        weights = {"a": np.full(2, value, dtype=np.float32)}
        save_file(weights, folder / "adapter" / "adapter_model.safetensors")
        manifest = ModelManifest(
            VERDICT.to_dict(), "v1:0", PromptTemplate(()), ("a",), ((1,),), registry.base_record(base)
        )
        (folder / "sparklabel.json").write_text(json.dumps(manifest.to_dict()))
        return folder

    return make


@pytest.fixture(scope="session")
def log():
    """Logs a folder as a version of a registered model: its number."""

    def log_version(folder, name, tags=None):
        with registry.start_run("training", experiment="tests") as run:
            return registry.log_version(run, folder, name, tags)

    return log_version


@pytest.fixture(scope="module")
def base(store, model_folder):
    return registry.resolve(str(model_folder(store / "base")))


@pytest.fixture(scope="module")
def one_thread():
    """On a machine that others use too, torch's threads wait for each other: one is many times faster."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
