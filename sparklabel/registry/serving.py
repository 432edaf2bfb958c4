"""From a model reference to files: the MLflow half of references.py.

In: any model reference. Out: `ResolvedModel`, pinned on the driver; and `LocalModel`, the folders on this
host, which a Spark worker gets from nothing but the record. Artifacts are copied into the user cache and
checked by their hash; the store's own files are never handed out.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparklabel.cache_dir import build_once, cache_dir
from sparklabel.errors import ModelError, ModelUnreachable
from sparklabel.hashing import tree_sha256
from sparklabel.models import references
from sparklabel.models.manifest import AdapterManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.redaction import without_credentials
from sparklabel.registry.store import connect, quieten, store_errors, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

CARD = "sparklabel.json"
SHA256_TAG = "sparklabel.sha256"

UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes for a name, version or alias that it does not have."""

_FORMS = "Write models:/NAME@ALIAS or models:/NAME/VERSION."
# The third form is an identity, as labels carry it.
_REFERENCE = re.compile(r"models:/([^/:]+)(?:/(\d+)(?:@sha256:([0-9a-f]{16}))?|@([^@/:]+))")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model's folders on this host; an artifact has an `adapter` (PEFT layout)."""

    base: Path
    adapter: Path | None = None


def resolve(reference: str) -> ResolvedModel:
    """Pins any model reference to something immutable; to be called once, on the driver.

    An alias becomes a version, and the version's files are named by their hash. Raises ModelError that says
    what exists, or that today's base model is not the one that the adapter was trained on.
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
    manifest = _stored_card(location)
    return ResolvedModel(
        reference, "artifact", f"models:/{name}/{version}@sha256:{sha256[:16]}", location, sha256=sha256,
        base=_base(reference, AdapterManifest.from_json(manifest).base), tracking_uri=tracking_uri(), manifest=manifest,
    )  # fmt: skip


def _pin(
    client: "MlflowClient", reference: str, name: str, number: str | None, expected: str | None, alias: str
) -> tuple[str, str, str]:
    """Name, version and hash of what `models:/...` names now."""
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
    """What a registered model has, or else which models there are: a hint for an error."""
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
    """What an adapter's card says under "base": enough to find the same weights, and to know them."""
    if base.source == "artifact":
        raise ModelError(
            f"{base.reference!r} is itself a fine-tuned model; an adapter cannot stand on another.",
            hint=f"Train from its base, {base.base.reference!r}." if base.base else "",
        )
    location = base.location if base.source == "folder" else base.reference
    return {
        "reference": location, "source": base.source, "identity": base.identity, "location": base.location,
        "revision": base.revision, "sha256": base.sha256,
    }  # fmt: skip


def _base(reference: str, record: Mapping[str, str]) -> ResolvedModel:
    """The base that an adapter's card names, if it is still what it was."""
    recorded = ResolvedModel(**record)  # type: ignore[arg-type]
    if recorded.source == "hub":  # the commit pins it, whatever the hub has by now
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


def _stored_card(location: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return _download(f"{location.rstrip('/')}/{CARD}", Path(folder), tracking_uri()).read_text("utf-8")


def fetch(model: ResolvedModel) -> LocalModel:
    """The model's folders on this host, fetched once under a lock and checked by hash. Raises ModelError.

    Works in any process: the record says where the artifact is and which server gives it.
    """
    if model.source != "artifact" or model.base is None:
        return LocalModel(references.fetch(model))
    folder = cache_dir() / "models" / f"adapter-{model.sha256[:32]}"
    build_once(folder, lambda to: _fetch(model, to))
    if tree_sha256(folder) != model.sha256:
        raise ModelError(
            f"The cached copy of {model.identity} was changed.", hint=f"Delete the folder {folder}."
        )
    if (folder / CARD).read_text("utf-8") != model.manifest:
        raise ModelError(
            f"The card of {model.identity} at {model.location} is not the one that was registered."
        )
    return LocalModel(references.fetch(model.base), folder / "adapter")


def _fetch(model: ResolvedModel, to: Path) -> None:
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        shutil.copytree(_download(model.location, Path(folder), model.tracking_uri), to, dirs_exist_ok=True)
    if tree_sha256(to) != model.sha256:
        raise ModelError(
            f"The files of {model.identity} at {model.location} are not those that were registered."
        )


def _download(uri: str, to: Path, server: str) -> Path:
    import mlflow.artifacts

    quieten()
    try:
        return Path(
            mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(to), tracking_uri=server)
        )
    except Exception as error:  # each kind of store lets its own client's errors through
        gone = getattr(error, "error_code", "") in UNKNOWN
        raise (ModelError if gone else ModelUnreachable)(
            f"MLflow's artifact {uri} cannot be fetched: {error}",
            hint="Executors need a tracking server that serves artifacts, or a store on shared storage.",
        ) from error
