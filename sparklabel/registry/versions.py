"""Registered models: a fine-tuned adapter becomes a version, and the best version the champion.

In: an open run and a folder with the manifest, and `adapter/` (PEFT layout), `classifier/`, or both; or
`model/`, a whole one. Out: a version
number; the hashes of its files and of its manifest are tags of the version. Which version should be the champion is
decided by the gate, not here.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparklabel.errors import ModelError
from sparklabel.hashing import file_sha256
from sparklabel.registry.flavor import write_flavor
from sparklabel.registry.runs import Run
from sparklabel.registry.serving import (
    ADAPTER,
    CLASSIFIER,
    MANIFEST,
    MANIFEST_SHA256_TAG,
    SHA256_TAG,
    UNKNOWN,
    WHOLE,
    version_sha256,
    what_exists,
)
from sparklabel.registry.store import connect, store_errors, store_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
_ADAPTERS = (f"{ADAPTER}/adapter_config.json", f"{ADAPTER}/adapter_model.safetensors")
_HEADS = (f"{CLASSIFIER}/heads.safetensors",)
_MODEL = (f"{WHOLE}/config.json",)


def log_version(run: Run, folder: Path, registered_name: str, tags: Mapping[str, Any] | None = None) -> str:
    """Logs the folder under the run and registers it; returns the new version's number. Never changes an alias.

    The folder becomes an MLflow model first: `write_flavor` adds MLmodel and a few small files to it. The artifact path
    contains the hash of all files, so two versions logged by one run do not mix.

    Raises ModelError if the folder is not a fine-tuned model, SetupError if the store fails.
    """
    own = {CLASSIFIER: _HEADS, WHOLE: _MODEL}
    needed = [MANIFEST, *next((own[name] for name in own if (folder / name).is_dir()), _ADAPTERS)]
    if missing := [file for file in needed if not (folder / file).is_file()]:
        raise ModelError(f"The folder {folder} is not a fine-tuned model: it has no {', no '.join(missing)}.")
    write_flavor(folder, run.id)
    sha256 = version_sha256(folder)
    hashes = {SHA256_TAG: sha256, MANIFEST_SHA256_TAG: file_sha256(folder / MANIFEST)}
    place = f"model-{sha256[:16]}"
    run.log_folder(folder, place)
    client = connect()
    with store_errors():
        _create_registered_model(client, registered_name)
        version = client.create_model_version(
            registered_name, f"{run.artifact_uri}/{place}", run_id=run.id,
            tags={**{key: str(value) for key, value in (tags or {}).items()}, **hashes},
        )  # fmt: skip
    return str(version.version)


def version_of(run: Run, registered_name: str) -> str | None:
    """The version that an earlier opening of the run has registered; None if there is none. Raises SetupError."""
    if not run.is_reopened:
        return None
    client = connect()
    with store_errors():
        found = client.search_model_versions(f"run_id='{run.id}'")
    return next((str(version.version) for version in found if version.name == registered_name), None)


def _create_registered_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def check_registered_name(name: str) -> None:
    """Raises ModelError for what MLflow does not accept as a name."""
    if not isinstance(name, str) or not name.strip() or set("/:") & set(name):
        raise ModelError(
            f"registered_name={name!r} is not a name for a model.",
            hint="Give one without '/' and ':', such as intent.",
        )


def champion(registered_name: str) -> str | None:
    """The number of the version that `models:/NAME@champion` names, or None if nothing was promoted yet.

    It may be impossible to serve by now, because its base is gone: `resolve` finds that out.
    """
    client = connect()
    with store_errors():
        return _champion_version(client, registered_name)


def _champion_version(client: "MlflowClient", name: str) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_registered_model(name).aliases.get(CHAMPION)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return None if version is None else str(version)


def promote(registered_name: str, version: str, *, replacing: str | None) -> bool:
    """Makes a version the champion if the champion is still `replacing` (None: there is none).

    Returns True if it did; passes that resolve `models:/NAME@champion` from now on get this version. False means that
    another version, which this one was not judged against, was promoted in the meantime. MLflow cannot compare and set
    an alias in one step, so the alias is read right before it is set: under a lock if the store is a SQLite file. On a
    tracking server, of two jobs that promote within the same few milliseconds both succeed.
    """
    from mlflow.exceptions import MlflowException

    client = connect()
    with store_errors(), store_lock():
        if _champion_version(client, registered_name) != replacing:
            return False
        try:
            client.set_registered_model_alias(registered_name, CHAMPION, version)
        except MlflowException as error:
            if error.error_code not in UNKNOWN:
                raise
            message = f"Version {version} of {registered_name!r} cannot be promoted: {error.message}"
            raise ModelError(message, hint=what_exists(client, registered_name)) from None
    return True


def default_registered_name(task_name: str, table_location: str) -> str:
    """A registered name for a task on a table: readable, and different for every table.

    The last part of the table's location is there for readers; a hash of location and task keeps tables apart. A table
    has one name, whether it was given by name or by path. Not for Unity Catalog, whose names have three parts.
    """
    location = re.sub(r"^file:/+", "/", table_location).rstrip("/")
    last = location.rpartition("/")[2]
    slug = re.sub(r"[^A-Za-z0-9_]+", "_", last).strip("_")[:60] or "table"
    digest = hashlib.sha256(f"{task_name}\0{location}".encode()).hexdigest()[:10]
    return f"{task_name[:60]}-{slug}-{digest}"
