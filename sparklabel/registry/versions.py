"""Registered models: a fine-tuned adapter becomes a version, and the best one the champion.

In: an open run and a folder with `adapter/` (PEFT layout) and `sparklabel.json`. Out: a version number, with
the hash of its files in a tag. Whether a version deserves to be champion is the gate's business.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparklabel.errors import ModelError
from sparklabel.hashing import tree_sha256
from sparklabel.registry.runs import Run
from sparklabel.registry.serving import CARD, SHA256_TAG, UNKNOWN, what_exists
from sparklabel.registry.store import connect, store_errors, store_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"


def log_version(run: Run, folder: Path, registered_name: str, tags: Mapping[str, Any] | None = None) -> str:
    """Logs the folder under the run and registers it: the new version's number. Never changes an alias.

    The files go to a place named by their hash, so two versions logged by one run do not mix.
    """
    if missing := [f for f in (CARD, "adapter/adapter_config.json", "adapter/adapter_model.safetensors")
                   if not (folder / f).is_file()]:  # fmt: skip
        raise ModelError(f"The folder {folder} is not a fine-tuned model: it has no {', no '.join(missing)}.")
    sha256 = tree_sha256(folder)
    place = f"model-{sha256[:16]}"
    run.log_folder(folder, place)
    client = connect()
    with store_errors():
        _create_registered_model(client, registered_name)
        version = client.create_model_version(
            registered_name, f"{run.artifact_uri}/{place}", run_id=run.id,
            tags={SHA256_TAG: sha256, **{key: str(value) for key, value in (tags or {}).items()}},
        )  # fmt: skip
    return str(version.version)


def _create_registered_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def check_registered_name(name: str) -> None:
    """Raises ModelError for what MLflow takes for no name."""
    if not isinstance(name, str) or not name.strip() or set("/:") & set(name):
        raise ModelError(
            f"registered_name={name!r} is no name for a model.",
            hint="Give one without '/' and ':', such as intent.",
        )


def champion(registered_name: str) -> str | None:
    """The number of the version that `models:/NAME@champion` names, or None where nothing was promoted yet.

    Whether it can still be served is another question: its base may be gone. Resolve it to find out.
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
    """Makes a version the champion while the version `replacing` is (None: there is none): whether it did.

    Passes that resolve `models:/NAME@champion` from now on get it. False means that another version was promoted
    meanwhile, which this one was not judged against. MLflow sets an alias whatever it was before, so it is read right
    before that: under a lock where the store is a SQLite file; on a tracking server two that promote within the same
    few milliseconds are not told apart.
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
    """A registered name for a task on a table: readable, and its own for every table.

    The last part of the table's location is for people; a hash of the location and of the task tells tables
    apart. What was typed does not count: the same table by name and by path gets the same name. Not for Unity
    Catalog, whose names have three parts.
    """
    location = re.sub(r"^file:/+", "/", table_location).rstrip("/")
    last = location.rpartition("/")[2]
    slug = re.sub(r"[^A-Za-z0-9_]+", "_", last).strip("_")[:60] or "table"
    digest = hashlib.sha256(f"{task_name}\0{location}".encode()).hexdigest()[:10]
    return f"{task_name[:60]}-{slug}-{digest}"
