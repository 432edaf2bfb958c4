"""The connection to MLflow's store.

In: MLFLOW_TRACKING_URI or `mlflow.set_tracking_uri`, else MLflow's own default, `mlflow.db` in the working directory.
Out: a client whose errors are ours. MLflow's global state stays as it is, except that it logs less.
"""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

from sparklabel.errors import SetupError, SparklabelError
from sparklabel.locks import held
from sparklabel.redaction import first_line, without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}
_PATIENCE = 300.0
"""Seconds; what is done under the store's lock takes two."""
_HINT = (
    "MLFLOW_TRACKING_URI names the store: a tracking server, or sqlite:////path/to/mlflow.db in a folder that can be "
    "written (a % in its path as %25)."
)


def tracking_uri() -> str:
    """The current tracking URI, made absolute so that it means the same in another process."""
    import mlflow

    uri: str = mlflow.get_tracking_uri()
    path = uri.removeprefix(_SQLITE)
    return f"{_SQLITE}{Path(path).absolute()}" if uri.startswith(_SQLITE) and path else uri


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store; None for other stores."""
    path = uri.removeprefix(_SQLITE).partition("?")[0]
    return Path(path) if uri.startswith(_SQLITE) and path else None


def has_store() -> bool:
    """Whether a store exists. A model that is not in MLflow needs none, and looking must not create one."""
    if os.environ.get("MLFLOW_TRACKING_URI") or Path("mlflow.db").is_file():
        return True
    if "mlflow" not in sys.modules:  # a store set in Python needs that import, which takes seconds
        return False
    file = sqlite_file(tracking_uri())
    return file is None or file.is_file()


def connect() -> "MlflowClient":
    """A client of the current store. The first use of a new store creates its tables, which takes two seconds."""
    with store_errors():
        import mlflow

        quieten()
        _check_reachable(uri := tracking_uri())
        _check_opens(uri)
        client = mlflow.MlflowClient(tracking_uri=uri)
        _create_tables(uri, client)
        return client


def _create_tables(uri: str, client: "MlflowClient") -> None:
    """Under a lock: of two processes that create the tables of a new SQLite file at once, one would fail."""
    if (file := sqlite_file(uri)) and not (file.exists() and file.stat().st_size):
        with store_lock():
            client.search_experiments(max_results=1)


def quieten() -> None:
    """Turns off messages about set-up and waiting, and progress bars over a handful of files; warnings stay.

    Call it after the import of mlflow, which sets its log levels. What a user set in the environment wins.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        for name in ("mlflow.store.db.utils", "mlflow.store.model_registry.abstract_store"):
            logging.getLogger(name).setLevel(logging.WARNING)


@lru_cache
def _check_reachable(uri: str) -> None:
    """Raises SetupError within seconds if no server listens; MLflow itself would retry for more than five minutes."""
    server = urlsplit(uri)
    scheme = server.scheme.partition("+")[0]
    is_behind_proxy = scheme in ("http", "https") and {"http", "https", "all"} & getproxies().keys()
    if scheme not in _PORTS or is_behind_proxy:
        return
    try:
        port = server.port or _PORTS[scheme]
        socket.create_connection((server.hostname or "", port), timeout=10).close()
    except OSError as error:
        raise SetupError(
            f"No tracking server answers at {without_credentials(uri)}: {error}.", hint=_HINT
        ) from error


@lru_cache
def _check_opens(uri: str) -> None:
    """Raises at once if a SQLite file cannot be opened; MLflow itself would retry for more than a minute."""
    if sqlite_file(uri):
        from sqlalchemy import create_engine

        engine = create_engine(uri)
        try:
            engine.connect().close()
        finally:
            engine.dispose()


@contextmanager
def store_errors() -> Iterator[None]:
    """Turns what a store raises inside the block into a SetupError that names the store. The block has calls of MLflow
    and nothing else."""
    try:
        yield
    except SparklabelError:
        raise
    except ImportError as error:
        raise SetupError(
            f"MLflow at {without_credentials(tracking_uri())} needs a package: {first_line(error)}",
            hint="Install it: psycopg for postgresql://, pymysql for mysql+pymysql://, boto3 for s3://, google-cloud-"
            "storage for gs://, azure-storage-blob for wasbs://.",
        ) from error
    except Exception as error:  # stores and their drivers are plug-ins of MLflow; their errors share no class
        raise SetupError(
            f"MLflow at {without_credentials(tracking_uri())} failed: {first_line(error)}",
            hint=_HINT,
        ) from error


@contextmanager
def store_lock() -> Iterator[None]:
    """A lock among the processes that share a SQLite store; nothing for a tracking server, which has no lock."""
    if (file := sqlite_file(tracking_uri())) is None:
        yield
        return
    with held(file.with_name(f"{file.name}.lock"), "changes the MLflow store", patience=_PATIENCE):
        yield


def artifact_location(experiment: str) -> str | None:
    """The folder for a new experiment's files: beside a SQLite store; None leaves the choice to the server.

    MLflow's own default is the working directory of the process that comes first, even if the database is elsewhere.
    """
    if (file := sqlite_file(tracking_uri())) is None:
        return None
    folder = "".join(c if c.isalnum() or c in "-_" else "-" for c in experiment)
    return str(file.parent / "mlruns" / folder)
