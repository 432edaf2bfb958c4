"""Models that are on this host already: in the hub's cache, read by the hub's own client offline, and in ours."""

import os
import subprocess
import sys

import pytest

from sparklabel.models.references import EMBEDDED, embedded_model, fetch, resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = (2).to_bytes(8, "little") + b"{}"
"""A whole safetensors file, without tensors."""


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


def test_a_hub_model_is_pinned_to_its_commit_from_the_cache_offline(hub_cache):
    found = offline(hub_cache, "m = resolve('org/tiny'); print(m.identity, fetch(m))")
    assert found == f"org/tiny@{COMMIT} {hub_cache}/models--org--tiny/snapshots/{COMMIT}"


def test_a_hub_model_that_is_not_in_the_cache_is_named_offline(hub_cache):
    program = (
        "from sparklabel.errors import ModelError\n"
        "try: resolve('org/unknown')\n"
        "except ModelError as error: print(error)"
    )
    found = offline(hub_cache, program)
    assert "The model 'org/unknown' is not a local folder. The hub did not give org/unknown: " in found
    assert "Give a local folder, a hub id" in found


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
