"""From a model reference to files, for models in MLflow; `sparklabel.models.references` does the same for others.

In: any model reference. Out: a `ResolvedModel`, pinned on the driver; and a `LocalModel`, the folders on this host, for
which a Spark worker needs nothing but that record. Artifacts are copied into the user cache and checked by their hash;
callers never get a path into the store. No model is loaded.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sparklabel.cache_dir import build_once, cache_dir
from sparklabel.errors import ModelError, ModelUnreachable
from sparklabel.hashing import files_sha256
from sparklabel.models import references
from sparklabel.models.manifest import AdapterManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.redaction import without_credentials
from sparklabel.registry.store import connect, quieten, store_errors, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import FileInfo

MANIFEST = "sparklabel.json"
SHA256_TAG = "sparklabel.sha256"

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
    """A model's folders on this host; a fine-tuned model has an `adapter` (PEFT layout)."""

    base: Path
    adapter: Path | None = None


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
    name, version, sha256 = _pin(client, reference, *parts.groups())
    with store_errors():
        location = client.get_model_version_download_uri(name, version)
    manifest = _stored_manifest(location)
    return ResolvedModel(
        reference, "artifact", f"models:/{name}/{version}@sha256:{sha256[:16]}", location, sha256=sha256,
        base=_base(reference, AdapterManifest.from_json(manifest).base), tracking_uri=tracking_uri(), manifest=manifest,
    )  # fmt: skip


def _pin(
    client: "MlflowClient", reference: str, name: str, number: str | None, expected: str | None, alias: str
) -> tuple[str, str, str]:
    """Name, version and hash of the version that `models:/...` names now."""
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
    return name, str(found.version), sha256


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


def base_record(base: ResolvedModel) -> dict[str, str]:
    """The field `base` of an adapter's manifest: enough to find the same weights again, and to recognize them."""
    if base.source == "artifact":
        raise ModelError(
            f"{base.reference!r} is itself a fine-tuned model, and an adapter cannot be trained on another one.",
            hint=f"Train from its base, {base.base.reference!r}." if base.base else "",
        )
    location = base.location if base.source == "folder" else base.reference
    return {
        "reference": location, "source": base.source, "identity": base.identity, "location": base.location,
        "revision": base.revision, "sha256": base.sha256,
    }  # fmt: skip


def _base(reference: str, record: Mapping[str, str]) -> ResolvedModel:
    """The base that an adapter's manifest names. Raises ModelError if it is missing or not the same any more."""
    recorded = ResolvedModel(**record)  # type: ignore[arg-type]
    if recorded.source == "hub":  # pinned by its commit, even if the hub has a newer one
        return recorded
    try:
        today = references.resolve(recorded.reference)
    except ModelError as error:
        message = f"{reference!r} was trained on {recorded.identity}, which is not here: {error.message}"
        raise type(error)(message, hint=error.hint) from None
    if today.sha256 != recorded.sha256:
        raise ModelError(
            f"{reference!r} was trained on {recorded.identity}, but "
            f"{recorded.reference!r} is now {today.identity}.",
            hint="Bring the old base back, or fine-tune again on the new one.",
        )
    return today


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
        base=_base(reference, AdapterManifest.from_json(manifest).base), manifest=manifest,
    )  # fmt: skip


def _stored_manifest(location: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return _download(f"{location.rstrip('/')}/{MANIFEST}", Path(folder), tracking_uri()).read_text(
            "utf-8"
        )


def fetch(model: ResolvedModel) -> LocalModel:
    """The model's folders on this host, downloaded once under a lock and checked by hash.

    Works in any process: the record names the artifact and the tracking server that has it.

    Raises ModelError: the files are gone, or not those that were registered. ModelUnreachable: they cannot be
    downloaded now.
    """
    if model.source != "artifact" or model.base is None:
        return LocalModel(references.fetch(model))
    folder = cache_dir() / "models" / f"adapter-{model.sha256[:32]}"
    build_once(folder, lambda to: _fetch(model, to))
    if version_sha256(folder) != model.sha256:
        raise ModelError(
            f"The cached copy of {model.identity} was changed.", hint=f"Delete the folder {folder}."
        )
    if (folder / MANIFEST).read_text("utf-8") != model.manifest:
        raise ModelError(
            f"The manifest of {model.identity} at {model.location} is not the one that was registered."
        )
    return LocalModel(references.fetch(model.base), folder / "adapter")


def _fetch(model: ResolvedModel, to: Path) -> None:
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        shutil.copytree(_download(model.location, Path(folder), model.tracking_uri), to, dirs_exist_ok=True)
    if version_sha256(to) != model.sha256:
        raise ModelError(
            f"The files of {model.identity} at {model.location} are not those that were registered."
        )


def _download(uri: str, to: Path, server: str) -> Path:
    import mlflow.artifacts

    quieten()
    above, _, name = uri.rpartition("/")
    try:
        # Asked first: a tracking server's 404 comes out of the download as an internal error, like an outage.
        if name not in _names(mlflow.artifacts.list_artifacts(artifact_uri=above, tracking_uri=server)):
            raise ModelError(
                f"MLflow's artifact {uri} cannot be fetched: it does not exist in the store.",
                hint="Restore it in the store, or fine-tune again.",
            )
        return Path(
            mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(to), tracking_uri=server)
        )
    except ModelError:
        raise
    except Exception as error:  # each kind of store lets its own client's errors through
        raise ModelUnreachable(f"MLflow's artifact {uri} cannot be fetched: {error}", hint=_HINT) from error


_HINT = "Executors need a tracking server that serves artifacts, or a store on shared storage."


def _names(listed: "Iterable[FileInfo]") -> set[str]:
    return {file.path.rpartition("/")[2] for file in listed}
