"""Against a real MLflow on SQLite. One store serves all the tests: making a new one takes seconds."""

import io
import json
import pickle
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from safetensors.numpy import save_file

from sparklabel import registry
from sparklabel.cards import ModelCard
from sparklabel.errors import ModelError, SetupError
from sparklabel.prompts import PromptTemplate

# MLflow's own use of SQLAlchemy; nothing that we can change.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def model_folder(folder, value=1.0):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    save_file({"w": np.full(4, value, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def adapter_folder(folder, base, value=1.0):
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    save_file({"a": np.full(2, value, dtype=np.float32)}, folder / "adapter" / "adapter_model.safetensors")
    card = ModelCard(
        {"name": "verdict"}, "v1:0", PromptTemplate(()), ("a",), ((1,),), registry.base_record(base)
    )
    (folder / "sparklabel.json").write_text(json.dumps(card.to_dict()))
    return folder


def log(folder, name, tags=None):
    with registry.start_run("training", experiment="tests") as run:
        return registry.log_version(run, folder, name, tags)


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory):
    home = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        patch.setenv("SPARKLABEL_CACHE", str(home / "cache"))
        yield home


@pytest.fixture(scope="module")
def base(store):
    return registry.resolve(str(model_folder(store / "base")))


@pytest.fixture(scope="module", autouse=True)
def first_use(store, base):
    """What was printed while the store was made, a version logged and fetched."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        log(adapter_folder(store / "tuned-1", base, 1.0), "verdict", {"task": "verdict"})
        registry.materialise(registry.resolve("models:/verdict/1"))
    return said.getvalue()


@pytest.fixture(scope="module")
def verdict(store, base, first_use):
    """The name of a registered model with two versions, the second the champion."""
    registry.promote("verdict", log(adapter_folder(store / "tuned-2", base, 2.0), "verdict"))
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
    assert registry.materialise(base) == registry.LocalModel(store / "base")


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
    local = registry.materialise(pickle.loads(shipped))
    assert local.base == store / "base"
    assert (local.adapter / "adapter_model.safetensors").is_file()
    assert not list(tmp_path.iterdir())


def test_the_files_on_this_host_are_a_copy_made_once(verdict, store):
    model = registry.resolve("models:/verdict@champion")
    local = registry.materialise(model)
    assert local.adapter.is_relative_to(store / "cache")
    assert not local.adapter.is_relative_to(stored_folder(model))
    stamp = local.adapter.stat().st_mtime_ns
    assert registry.materialise(model) == local
    assert local.adapter.stat().st_mtime_ns == stamp


def test_a_card_that_changed_in_the_store_is_refused_even_when_the_files_are_cached(base, tmp_path):
    log(adapter_folder(tmp_path / "tuned", base, 6.0), "forged")
    registry.materialise(registry.resolve("models:/forged/1"))
    card = stored_folder(registry.resolve("models:/forged/1")) / "sparklabel.json"
    card.write_text(card.read_text().replace("verdict", "other"))
    with pytest.raises(ModelError, match="card"):
        registry.materialise(registry.resolve("models:/forged/1"))


def test_files_that_changed_in_the_store_are_refused(base, tmp_path):
    log(adapter_folder(tmp_path / "tuned", base, 7.0), "tampered")
    model = registry.resolve("models:/tampered/1")
    (stored_folder(model) / "adapter" / "adapter_config.json").write_text('{"r": 1}')
    with pytest.raises(ModelError, match="are not those that were registered"):
        registry.materialise(model)


def test_a_cached_copy_that_changed_is_refused(base, tmp_path):
    log(adapter_folder(tmp_path / "tuned", base, 8.0), "spoiled")
    model = registry.resolve("models:/spoiled/1")
    (registry.materialise(model).adapter / "adapter_config.json").write_text('{"r": 1}')
    with pytest.raises(ModelError, match="cached copy"):
        registry.materialise(model)


def test_an_artifact_that_is_gone_says_so(base, tmp_path):
    log(adapter_folder(tmp_path / "tuned", base, 9.0), "gone")
    model = registry.resolve("models:/gone/1")
    with pytest.raises(ModelError, match="cannot be fetched"):
        registry.materialise(replace(model, location=str(tmp_path / "nowhere"), sha256="0" * 64))


def test_a_base_that_changed_is_refused_by_both_names(tmp_path):
    before = registry.resolve(str(model_folder(tmp_path / "mybase")))
    log(adapter_folder(tmp_path / "tuned", before), "moved")
    model_folder(tmp_path / "mybase", value=2.0)
    after = registry.resolve(str(tmp_path / "mybase"))
    with pytest.raises(ModelError) as caught:
        registry.resolve("models:/moved/1")
    assert before.identity in caught.value.message
    assert after.identity in caught.value.message


def test_a_base_that_is_gone_is_named(tmp_path):
    before = registry.resolve(str(model_folder(tmp_path / "mybase")))
    log(adapter_folder(tmp_path / "tuned", before), "orphan")
    (tmp_path / "mybase").rename(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="which is not here"):
        registry.resolve("models:/orphan/1")


def test_a_version_with_a_card_of_a_newer_format_is_refused(base, tmp_path):
    folder = adapter_folder(tmp_path / "tuned", base)
    (folder / "sparklabel.json").write_text('{"format": 2}')
    log(folder, "newer")
    with pytest.raises(ModelError, match="made by a newer sparklabel"):
        registry.resolve("models:/newer/1")


def test_an_adapter_cannot_stand_on_an_adapter(verdict):
    with pytest.raises(ModelError, match="itself a fine-tuned model"):
        registry.base_record(registry.resolve("models:/verdict@champion"))


def test_a_folder_that_is_not_an_adapter_is_not_registered(tmp_path):
    with pytest.raises(ModelError, match=r"no sparklabel\.json"):
        log(model_folder(tmp_path / "model"), "nothing")
    assert registry.champion("nothing") is None


def test_the_champion_is_the_version_that_was_promoted(base, tmp_path):
    log(adapter_folder(tmp_path / "one", base, 3.0), "season")
    assert registry.champion("season") is None
    log(adapter_folder(tmp_path / "two", base, 4.0), "season")
    registry.promote("season", "2")
    assert registry.champion("season").identity.startswith("models:/season/2@")


def test_promoting_a_version_that_does_not_exist_is_refused(verdict):
    with pytest.raises(ModelError, match="Version 99 of 'verdict' cannot be promoted") as caught:
        registry.promote("verdict", "99")
    assert "versions 1, 2" in caught.value.hint


def test_a_run_keeps_parameters_metrics_tags_and_the_table_it_read():
    with registry.start_run("training", experiment="tests", tags={"task": "verdict"}) as run:
        run.log_params({f"p{n}": n for n in range(120)})
        for step in range(700):
            run.log_metrics({"loss": 1 / (step + 1), "lr": 0.1, "unknown": None}, step)
        run.set_tags({"gate": "promoted"})
        run.log_table("reviews", location="/data/reviews", version=3)
        run.log_json({"ü": 1}, "report.json")
    stored = mlflow.MlflowClient().get_run(run.id)
    assert (stored.info.status, stored.info.run_name) == ("FINISHED", "training")
    assert (len(stored.data.params), stored.data.params["p119"]) == (120, "119")
    assert sorted(stored.data.metrics) == ["loss", "lr"]
    assert len(mlflow.MlflowClient().get_metric_history(run.id, "loss")) == 700
    assert stored.data.tags.items() >= {"task": "verdict", "gate": "promoted"}.items()
    source = json.loads(stored.inputs.dataset_inputs[0].dataset.source)
    assert (source["path"], source["delta_table_version"]) == ("/data/reviews", 3)


def test_an_error_leaves_a_failed_run():
    with pytest.raises(ValueError, match="boom"), registry.start_run("training", experiment="tests") as run:
        raise ValueError("boom")
    assert mlflow.MlflowClient().get_run(run.id).info.status == "FAILED"


def test_an_interrupted_run_is_killed():
    with pytest.raises(KeyboardInterrupt), registry.start_run("training", experiment="tests") as run:
        raise KeyboardInterrupt
    assert mlflow.MlflowClient().get_run(run.id).info.status == "KILLED"


def test_a_run_inside_a_users_run_is_its_child_and_leaves_it_active():
    with mlflow.start_run() as outer, registry.start_run("training", experiment="tests") as run:
        assert mlflow.active_run().info.run_id == outer.info.run_id
    stored = mlflow.MlflowClient().get_run(run.id)
    assert stored.data.tags["mlflow.parentRunId"] == outer.info.run_id


def test_a_users_experiment_goes_first(monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    with registry.start_run("training", experiment="tests") as run:
        pass
    assert mlflow.MlflowClient().get_experiment(run.experiment_id).name == "mine"


def test_artifacts_lie_beside_the_store(store):
    with registry.start_run("training", experiment="a / b") as run:
        run.log_json({}, "card.json")
    assert Path(run.artifact_uri).is_relative_to(store / "mlruns")


def test_a_new_store_is_made_without_chatter(first_use):
    assert first_use == ""


def test_a_store_that_mlflow_refuses_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    with pytest.raises(SetupError, match=r"MLflow at file:.*/mlruns failed") as caught:
        registry.resolve("models:/verdict@champion")
    assert "MLFLOW_TRACKING_URI" in caught.value.hint


def test_a_server_that_is_not_there_is_named_at_once_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:1")
    with pytest.raises(SetupError, match=r"No tracking server answers at http://127\.0\.0\.1:1"):
        registry.champion("verdict")


def test_default_names_are_readable_and_legal(verdict):
    name = registry.default_registered_name("verdict", "file:/data/support.db/tickets")
    assert name.startswith("verdict-tickets-")
    mlflow.MlflowClient().create_registered_model(name)


def test_two_tables_never_share_a_name():
    names = {
        registry.default_registered_name(task, location)
        for task in ("verdict", "intent")
        for location in ("/data/a/tickets", "/data/b/tickets")
    }
    assert len(names) == 4


@pytest.mark.parametrize("location", ["file:/data/tickets/", "file:///data/tickets"])
def test_one_table_has_one_name_however_its_location_is_written(location):
    expected = registry.default_registered_name("verdict", "/data/tickets")
    assert registry.default_registered_name("verdict", location) == expected


@pytest.mark.parametrize("location", ["", "/", "/data/таблица", "/data/" + "x" * 500])
def test_odd_locations_still_give_a_name(location):
    name = registry.default_registered_name("v" * 300, location)
    assert len(name) < 250
    assert name.isascii()
