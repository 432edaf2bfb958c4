"""From a model reference to files, for models in MLflow; `sparklabel.models.references` does the same for others.

In: any model reference. Out: a `ResolvedModel`, pinned on the driver; and a `LocalModel`, the folders on this host, for
which a Spark worker needs nothing but that record. Artifacts are copied into the user cache and checked by their hash;
callers never get a path into the store. No model is loaded.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sparklabel.cache_builds import build_once
from sparklabel.cache_dir import cache_folder
from sparklabel.errors import ModelError
from sparklabel.hashing import file_sha256, files_sha256
from sparklabel.models import references
from sparklabel.models.base_record import recorded_base
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.redaction import without_credentials
from sparklabel.registry.downloads import download
from sparklabel.registry.store import connect, store_errors, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

MANIFEST = "sparklabel.json"
ADAPTER, CLASSIFIER, ENCODER_FOLDER, WHOLE = "adapter", "classifier", "encoder", "model"
"""The folders of a version; it has those that its manifest speaks of."""
SHA256_TAG = "sparklabel.sha256"
"""The tag with the hash of a version's whole tree."""
MANIFEST_SHA256_TAG = "sparklabel.card_sha256"
"""The tag with the hash of a version's manifest, which the driver reads without the rest. Older versions lack it."""

_META = "registered_model_meta"
"""A file with name and version that MLflow writes into the folder of a version that it downloads. From a store of local
files it downloads nothing, and writes into the store itself."""

UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's error codes for a name, version or alias that does not exist."""

_FORMS = "Write models:/NAME@ALIAS or models:/NAME/VERSION."
# The form with a hash is an identity, as labels carry it.
_REFERENCE = re.compile(r"models:/([^/:]+)(?:/(\d+)(?:@sha256:([0-9a-f]{16}))?|@([^@/:]+))")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model's folders on this host.

    Attributes:
        base: The weights under it.
        adapter: A LoRA adapter over them (PEFT layout).
        encoder: What a classifier's sentence vectors come from; the base itself if that is nothing else.
        classifier: Its heads.
    """

    base: Path
    adapter: Path | None = None
    encoder: Path | None = None
    classifier: Path | None = None


def resolve(reference: str) -> ResolvedModel:
    """Pins any model reference to something immutable. Call it once, on the driver.

    An alias becomes a version, whose files are identified by their hash.

    Raises ModelError: nothing has this name (the hint lists what exists), the version was not logged by sparklabel, or
    its base model is missing or has changed. ModelUnreachable: its files cannot be downloaded now. SetupError: the
    store fails.
    """
    if not isinstance(reference, str) or not reference.startswith("models:"):
        return references.resolve(reference)
    parts = _REFERENCE.fullmatch(reference)
    if parts is None:
        raise ModelError(f"{reference!r} is not a reference to an MLflow model.", hint=_FORMS)
    client = connect()
    name, version, tags = _pin(client, reference, *parts.groups())
    with store_errors():
        location = client.get_model_version_download_uri(name, version)
    sha256 = tags[SHA256_TAG]
    pinned = ResolvedModel(
        reference, "artifact", f"models:/{name}/{version}@sha256:{sha256[:16]}", location, sha256=sha256,
        tracking_uri=tracking_uri(),
    )  # fmt: skip
    manifest = _registered_manifest(pinned, tags.get(MANIFEST_SHA256_TAG))
    return replace(pinned, base=_base_of(reference, manifest), manifest=manifest)


def _base_of(reference: str, manifest: str) -> ResolvedModel | None:
    """The model under a version; None for a whole one, which needs no other. Raises ModelError if it is missing or has
    changed."""
    found = ModelManifest.from_json(manifest)
    return None if found.is_whole else recorded_base(reference, found.base, resolve)


def _pin(
    client: "MlflowClient", reference: str, name: str, number: str | None, expected: str | None, alias: str
) -> tuple[str, str, Mapping[str, str]]:
    """Name, number and tags of the version that `models:/...` names now."""
    from mlflow.exceptions import MlflowException

    try:
        found = (
            client.get_model_version(name, number)
            if number
            else client.get_model_version_by_alias(name, alias)
        )
    except MlflowException as error:
        with store_errors():
            if error.error_code not in UNKNOWN:
                raise
            hint = what_exists(client, name)
        raise ModelError(f"{reference!r} does not resolve: {error.message}", hint=hint) from None
    sha256 = found.tags.get(SHA256_TAG, "")
    if not sha256:
        raise ModelError(f"{reference!r} was not logged by sparklabel: it has no tag {SHA256_TAG}.")
    if expected and not sha256.startswith(expected):
        raise ModelError(f"{reference!r} names other files than MLflow has now (sha256:{sha256[:16]}).")
    return name, str(found.version), found.tags


def what_exists(client: "MlflowClient", name: str) -> str:
    """A hint for an error: a registered model's versions and aliases, or, if there is no such model, all names."""
    quote = '"' if "'" in name else "'"
    versions = client.search_model_versions(f"name={quote}{name}{quote}", max_results=20)
    if not versions:
        names = ", ".join(model.name for model in client.search_registered_models(max_results=20))
        return f"MLflow at {without_credentials(tracking_uri())} has the models: {names or '(none)'}."
    aliases = client.get_registered_model(name).aliases
    numbers = ", ".join(sorted((str(v.version) for v in versions), key=int))
    named = ", ".join(f"@{alias} (version {version})" for alias, version in aliases.items())
    return f"{name} has the versions {numbers} and the aliases {named or '(none)'}."


def version_sha256(folder: Path) -> str:
    """The hash of a version's whole tree, without the file that MLflow adds when it downloads one."""
    return files_sha256(folder, (path for path in folder.rglob("*") if path != folder / _META))


def downloaded_version(folder: Path) -> ResolvedModel:
    """The version in a folder that MLflow downloaded. Needs no store.

    Its name is the one that MLflow left in the folder, or `adapter` for a folder that is not from a registry. The
    identity contains the hash of the files in the folder, so changed files are never taken for the registered ones.
    Raises ModelError if the base is missing or has changed.
    """
    manifest = (folder / MANIFEST).read_text("utf-8")
    reference, sha256 = "adapter", version_sha256(folder)
    if (folder / _META).is_file():
        meta = yaml.safe_load((folder / _META).read_text("utf-8"))
        reference = f"models:/{meta['model_name']}/{meta['model_version']}"
    return ResolvedModel(
        reference, "artifact", f"{reference}@sha256:{sha256[:16]}", str(folder), sha256=sha256,
        base=_base_of(reference, manifest), manifest=manifest,
    )  # fmt: skip


def _registered_manifest(model: ResolvedModel, sha256: str | None) -> str:
    """The manifest, checked before anything in it is used. Who can write the artifact store must not choose what the
    driver loads. A version without a hash of its manifest is downloaded as a whole, whose hash it has."""
    if sha256 is None:
        return (_checked_copy(model) / MANIFEST).read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        file = download(f"{model.location.rstrip('/')}/{MANIFEST}", Path(folder), model.tracking_uri)
        if file_sha256(file) != sha256:
            raise ModelError(
                f"The manifest of {model.identity} at {model.location} is not the one that was registered.",
                hint="Restore it in the store, or fine-tune again.",
            )
        return file.read_text("utf-8")


def fetch(model: ResolvedModel) -> LocalModel:
    """The model's folders on this host, downloaded once under a lock and checked by hash.

    Works in any process: the record names the artifact and the tracking server that has it.

    Raises ModelError: the files are gone, or not those that were registered. ModelUnreachable: they cannot be
    downloaded now.
    """
    if model.source != "artifact":
        return LocalModel(references.fetch(model))
    folder = _checked_copy(model)
    if (folder / MANIFEST).read_text("utf-8") != model.manifest:
        raise ModelError(
            f"The manifest of {model.identity} at {model.location} is not the one that was registered."
        )
    return local_version(model, folder)


def local_version(model: ResolvedModel, folder: Path) -> LocalModel:
    """The folders of a version whose own files are in `folder`. Raises ModelError as `fetch` does."""
    if model.base is None:
        return LocalModel(folder / WHOLE)
    manifest = ModelManifest.from_json(model.manifest).classifier
    if manifest is None:
        return LocalModel(fetch(model.base).base, folder / ADAPTER)
    own = folder / ENCODER_FOLDER if manifest.is_tuned else None
    if not manifest.needs_language_model:
        encoder = own or fetch(model.base).base
        return LocalModel(encoder, None, encoder, folder / CLASSIFIER)
    if own is None and manifest.encoder is not None:
        own = references.fetch(recorded_base(model.reference, manifest.encoder))
    adapter = folder / ADAPTER
    return LocalModel(fetch(model.base).base, adapter if adapter.is_dir() else None, own, folder / CLASSIFIER)


def tokenizer_folder(model: ResolvedModel) -> Path:
    """A folder on this host with the model's configuration and tokenizer. Fetches weights only of a version that is a
    whole model. Raises ModelError as `fetch` does."""
    if model.base is not None:
        return tokenizer_folder(model.base)
    return fetch(model).base if model.source == "artifact" else references.tokenizer_folder(model)


def _checked_copy(model: ResolvedModel) -> Path:
    """The version's whole tree, in the cache."""
    folder = _cached(model)
    build_once(folder, lambda to: _fetch(model, to))
    if version_sha256(folder) != model.sha256:
        raise ModelError(
            f"The cached copy of {model.identity} was changed.", hint=f"Delete the folder {folder}."
        )
    return folder


@contextmanager
def unregistered_version(folder: Path) -> Iterator[ResolvedModel]:
    """The version whose files are in a folder, to be asked inside the block. This host's copy of it is deleted then.
    Raises ModelError."""
    model = downloaded_version(folder)
    try:
        yield model
    finally:
        copy = _cached(model)
        shutil.rmtree(copy, ignore_errors=True)
        copy.with_name(f"{copy.name}.sha256").unlink(missing_ok=True)


def _cached(model: ResolvedModel) -> Path:
    return cache_folder("models") / f"adapter-{model.sha256[:32]}"


def _fetch(model: ResolvedModel, to: Path) -> None:
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        shutil.copytree(download(model.location, Path(folder), model.tracking_uri), to, dirs_exist_ok=True)
    if version_sha256(to) != model.sha256:
        raise ModelError(
            f"The files of {model.identity} at {model.location} are not those that were registered."
        )
