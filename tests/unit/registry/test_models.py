"""Model references that MLflow keeps: pinned, fetched, checked. Against a real MLflow on SQLite."""

import io
import pickle
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from sparklabel import registry
from sparklabel.errors import ModelError
from sparklabel.hashing import tree_sha256

# MLflow's own use of SQLAlchemy; nothing that we can change.
pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(scope="module", autouse=True)
def first_use(store, base, adapter_folder, log):
    """What was printed while the store was made, a version logged and fetched."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        log(adapter_folder(store / "tuned-1", base, 1.0), "verdict", {"task": "verdict"})
        registry.fetch(registry.resolve("models:/verdict/1"))
    return said.getvalue()


@pytest.fixture(scope="module")
def verdict(store, base, first_use, adapter_folder, log):
    """The name of a registered model with two versions, the second the champion."""
    version = log(adapter_folder(store / "tuned-2", base, 2.0), "verdict")
    assert registry.promote("verdict", version, replacing=None)
    return "verdict"


def stored_folder(model):
    return Path(model.location)


def test_an_alias_is_pinned_to_a_version_and_its_files(verdict, base, store):
    model = registry.resolve("models:/verdict@champion")
    assert model.identity == f"models:/verdict/2@sha256:{model.sha256[:16]}"
    assert (model.source, model.base) == ("artifact", base)
    assert model.tracking_uri == f"sqlite:///{store}/mlflow.db"


def test_a_version_resolves_to_what_the_alias_resolved_to(verdict):
    by_alias, by_version = registry.resolve("models:/verdict@champion"), registry.resolve("models:/verdict/2")
    assert replace(by_alias, reference="") == replace(by_version, reference="")
    assert registry.resolve("models:/verdict/1").identity != by_version.identity


def test_an_identity_resolves_to_itself(verdict):
    identity = registry.resolve("models:/verdict/1").identity
    assert registry.resolve(identity).identity == identity


def test_an_identity_with_another_hash_is_refused(verdict):
    with pytest.raises(ModelError, match="names other files"):
        registry.resolve("models:/verdict/1@sha256:0123456789abcdef")


def test_other_references_are_resolved_as_ever(base, store):
    assert (base.source, base.location) == ("folder", str(store / "base"))
    assert registry.fetch(base) == registry.LocalModel(store / "base")


def test_an_unknown_model_lists_those_that_exist(verdict):
    with pytest.raises(ModelError, match="'models:/verdct@champion' does not resolve") as caught:
        registry.resolve("models:/verdct@champion")
    assert "verdict" in caught.value.hint


@pytest.mark.parametrize("reference", ["models:/verdict/9", "models:/verdict@best"])
def test_an_unknown_version_or_alias_lists_those_that_exist(verdict, reference):
    with pytest.raises(ModelError, match="does not resolve") as caught:
        registry.resolve(reference)
    assert caught.value.hint == "verdict has the versions 1, 2 and the aliases @champion (version 2)."


@pytest.mark.parametrize(
    "reference", ["models:/verdict", "models:/verdict/latest", "models:verdict/1", "models:/"]
)
def test_a_malformed_reference_says_how_to_write_it(reference):
    with pytest.raises(ModelError, match="is not a reference") as caught:
        registry.resolve(reference)
    assert "models:/NAME@ALIAS" in caught.value.hint


def test_a_model_that_others_registered_is_refused():
    client = mlflow.MlflowClient()
    client.create_registered_model("foreign")
    with registry.start_run("foreign", experiment="tests") as run:
        client.create_model_version("foreign", f"{run.artifact_uri}/model", run_id=run.id)
    with pytest.raises(ModelError, match="was not logged by sparklabel"):
        registry.resolve("models:/foreign/1")


def test_a_worker_process_needs_nothing_but_the_record(verdict, store, tmp_path, monkeypatch):
    shipped = pickle.dumps(registry.resolve("models:/verdict@champion"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    local = registry.fetch(pickle.loads(shipped))
    assert local.base == store / "base"
    assert (local.adapter / "adapter_model.safetensors").is_file()
    assert not list(tmp_path.iterdir())


def test_the_files_on_this_host_are_a_copy_made_once(verdict, store):
    model = registry.resolve("models:/verdict@champion")
    local = registry.fetch(model)
    assert local.adapter.is_relative_to(store / "cache")
    assert not local.adapter.is_relative_to(stored_folder(model))
    stamp = local.adapter.stat().st_mtime_ns
    assert registry.fetch(model) == local
    assert local.adapter.stat().st_mtime_ns == stamp


def test_files_that_changed_in_the_store_are_refused(base, tmp_path, adapter_folder, log):
    log(adapter_folder(tmp_path / "tuned", base, 7.0), "tampered")
    model = registry.resolve("models:/tampered/1")
    (stored_folder(model) / "adapter" / "adapter_config.json").write_text('{"r": 1}')
    with pytest.raises(ModelError, match="are not those that were registered"):
        registry.fetch(model)


def test_a_cached_copy_that_changed_is_refused(base, tmp_path, adapter_folder, log):
    log(adapter_folder(tmp_path / "tuned", base, 8.0), "spoiled")
    model = registry.resolve("models:/spoiled/1")
    adapter = registry.fetch(model).adapter
    (adapter / "adapter_config.json").write_text('{"r": 1}')
    with pytest.raises(ModelError, match="was changed since it was built"):
        registry.fetch(model)
    adapter.parent.with_name(f"{adapter.parent.name}.sha256").write_text(tree_sha256(adapter.parent))
    with pytest.raises(ModelError, match="The cached copy of models:/spoiled/1"):
        registry.fetch(model)


def test_an_artifact_that_is_gone_says_so_and_is_not_an_outage(base, tmp_path, adapter_folder, log):
    log(adapter_folder(tmp_path / "tuned", base, 9.0), "gone")
    model = registry.resolve("models:/gone/1")
    with pytest.raises(ModelError, match=r"cannot be fetched: it does not exist") as caught:
        registry.fetch(replace(model, location=str(tmp_path / "nowhere"), sha256="0" * 64))
    assert not caught.value.retryable


def test_the_tokenizer_of_an_adapter_is_that_of_its_base(verdict, base):
    model = registry.resolve("models:/verdict@champion")
    assert registry.tokenizer_folder(model) == registry.tokenizer_folder(base) == Path(base.location)


def test_an_adapter_cannot_stand_on_an_adapter(verdict):
    with pytest.raises(ModelError, match="itself a fine-tuned model"):
        registry.base_record(registry.resolve("models:/verdict@champion"))


def test_a_folder_that_is_not_an_adapter_is_not_registered(tmp_path, model_folder, log):
    with pytest.raises(ModelError, match=r"no sparklabel\.json"):
        log(model_folder(tmp_path / "model"), "nothing")
    assert registry.champion("nothing") is None


def test_a_new_store_is_made_without_chatter(first_use):
    assert first_use == ""
