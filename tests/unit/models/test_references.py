"""Model references: pinned to something immutable, or one clear error; files are made once and checked."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from sparklabel import registry
from sparklabel.errors import ModelError
from sparklabel.hashing import tree_sha256
from sparklabel.models.references import EMBEDDED, embedded_model, fetch, resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = (2).to_bytes(8, "little") + b"{}"
"""A whole safetensors file, without tensors."""


@pytest.fixture
def folder(tmp_path):
    """What a model folder looks like from outside."""
    made = tmp_path / "my-model"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(WEIGHTS)
    return made


@pytest.fixture
def hub_cache(tmp_path):
    """The hub's cache as huggingface_hub lays it out, with one model in it."""
    repository = tmp_path / "hub" / "models--org--tiny"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(WEIGHTS)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return tmp_path / "hub"


def offline(hub_cache, program):
    """What `program` prints in a process that knows this hub cache and has no network."""
    environment = os.environ | {"HF_HUB_CACHE": str(hub_cache), "HF_HUB_OFFLINE": "1"}
    program = f"from sparklabel.models.references import resolve, fetch\n{program}"
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def test_a_folder_is_pinned_by_the_hash_of_its_files(folder):
    model = resolve(str(folder))
    assert model.identity == f"folder@sha256:{tree_sha256(folder)[:16]}"
    assert fetch(model) == folder


def test_equal_folders_have_equal_identities_wherever_they_are(folder, tmp_path):
    copy = tmp_path / "another-name"
    shutil.copytree(folder, copy)
    assert resolve(str(copy)).identity == resolve(str(folder)).identity


def test_what_is_no_part_of_the_model_does_not_change_it(folder):
    model = resolve(str(folder))
    (folder / "README.md").write_text("notes")
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "model.safetensors").write_bytes(b"older weights")
    assert resolve(str(folder)) == model
    assert fetch(model) == folder


@pytest.mark.parametrize("change", ["model.safetensors", "tokenizer.json", "merges.txt"])
def test_a_folder_that_changed_since_is_refused(folder, change):
    model = resolve(str(folder))
    (folder / change).write_bytes(b"other")
    with pytest.raises(ModelError, match="is not what the driver resolved: its files changed"):
        fetch(model)


def test_a_folder_that_is_not_on_this_host_is_named(folder):
    model = resolve(str(folder))
    folder.rename(folder.with_name("moved"))
    with pytest.raises(ModelError, match=r"my-model does not exist on this host"):
        fetch(model)


def test_a_folder_without_a_configuration_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"it has no config\.json"):
        resolve(str(tmp_path))


def test_a_folder_with_pickled_weights_only_is_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has no \.safetensors weights.*\n.*Pickled weights are not loaded"):
        resolve(str(folder))


def test_an_adapters_weights_do_not_pass_for_the_models(folder):
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(ModelError, match=r"has no \.safetensors weights"):
        resolve(str(folder))


def test_weights_in_shards_are_found_by_their_index(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    with pytest.raises(ModelError, match="shards and their index"):
        resolve(str(folder))
    (folder / "model.safetensors.index.json").write_text("{}")
    assert fetch(resolve(str(folder))) == folder


def test_a_shard_that_is_missing_is_named(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"layer": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks model-00001-of-00002\.safetensors, a part of its weights"):
        resolve(str(folder))


DAMAGED = {
    "cut off": lambda whole: whole[:-1],
    "cut off in its header": lambda whole: whole[:20],
    "empty": lambda whole: b"",
    "with a header that is none": lambda whole: whole[:8] + b"x" * (len(whole) - 8),
    "longer than it says": lambda whole: whole + b"0",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_weights_are_named_without_being_loaded(damage, tmp_path, model_folder):
    weights = model_folder(tmp_path / "base") / "model.safetensors"
    weights.write_bytes(DAMAGED[damage](weights.read_bytes()))
    with pytest.raises(ModelError, match=r"base' has a damaged file: model\.safetensors .*\n.*again"):
        resolve(str(weights.parent))


@pytest.mark.parametrize(
    "reference", ["no-such-model", "./no/such/folder", "a/b/c", "~/nowhere", "http://host/x"]
)
def test_a_reference_that_is_nothing_is_named_with_what_can_be_given(reference):
    with pytest.raises(ModelError, match="does not resolve") as caught:
        resolve(reference)
    assert repr(reference) in caught.value.message
    assert EMBEDDED in caught.value.hint


@pytest.mark.parametrize("reference", ["", "  ", None, 3])
def test_what_is_no_text_is_no_reference(reference):
    with pytest.raises(ModelError, match="is not a model reference"):
        registry.resolve(reference)


def test_a_hub_model_is_pinned_to_its_commit_from_the_cache_offline(hub_cache):
    found = offline(hub_cache, "m = resolve('org/tiny'); print(m.identity, fetch(m))")
    assert found == f"org/tiny@{COMMIT} {hub_cache}/models--org--tiny/snapshots/{COMMIT}"


def test_a_hub_model_without_safetensors_is_refused(hub_cache):
    snapshot = hub_cache / "models--org--tiny" / "snapshots" / COMMIT
    (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
    program = (
        "from sparklabel.errors import ModelError\n"
        "try: fetch(resolve('org/tiny'))\n"
        "except ModelError as error: print(error)"
    )
    assert f"The model org/tiny@{COMMIT} has no .safetensors weights" in offline(hub_cache, program)


def test_a_hub_model_that_is_not_in_the_cache_is_named_offline(hub_cache):
    program = (
        "from sparklabel.errors import ModelError\n"
        "try: resolve('org/unknown')\n"
        "except ModelError as error: print(error)"
    )
    found = offline(hub_cache, program)
    assert "The model 'org/unknown' is not a local folder. The hub did not give org/unknown: " in found
    assert "Give a local folder, a hub id" in found


def test_the_embedded_model_is_pinned_by_its_file():
    model = resolve(EMBEDDED)
    assert (model.source, model.identity) == ("embedded", f"{EMBEDDED}@sha256:{model.sha256[:16]}")


def test_another_embedded_model_than_the_drivers_is_refused_by_both_names():
    here = resolve(EMBEDDED)
    there = replace(here, identity=f"{EMBEDDED}@sha256:{'0' * 16}", sha256="0" * 64)
    with pytest.raises(ModelError, match="but this host has") as caught:
        fetch(there)
    assert there.identity in caught.value.message
    assert here.identity in caught.value.message


def test_a_folder_that_somebody_planted_for_the_embedded_model_is_not_served(
    tmp_path, monkeypatch, model_folder
):
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path / "cache"))
    model = resolve(EMBEDDED)
    planted = model_folder(tmp_path / "cache" / "models" / f"{EMBEDDED}-{model.sha256[:16]}")
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", cannot_build)
    with pytest.raises(RuntimeError, match="it is built"):
        fetch(model)
    assert planted.is_dir()


def cannot_build(*_, **__):
    raise RuntimeError("it is built")


@pytest.mark.model
def test_the_embedded_model_is_safetensors_in_the_users_cache():
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        p.name for p in embedded_model().iterdir()
    }


def test_an_artifact_is_not_fetched_here(folder):
    with pytest.raises(ModelError, match=r"fetched by sparklabel\.registry"):
        fetch(replace(resolve(str(folder)), source="artifact"))


def test_the_tree_hash_covers_names_and_contents(folder):
    before = tree_sha256(folder)
    (folder / "config.json").rename(folder / "settings.json")
    assert tree_sha256(folder) != before
