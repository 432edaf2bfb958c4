"""The database of a queue of runs: Optuna's storage, opened so that what it promises holds.

In: an address as SQLAlchemy writes it. Out: a storage whose errors are ours and never show a password.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy import URL, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from sparklabel.errors import SetupError, SparklabelError
from sparklabel.locks import held
from sparklabel.redaction import first_line, without_credentials
from sparklabel.registry.store import tracking_uri

ADDRESS = "SPARKLABEL_RUNS"
DEFAULT = "sqlite:///sparklabel-runs.db"
BEAT_SECONDS, GRACE_SECONDS = 30, 120
"""How often a worker sends a heartbeat for each run, and after how long without one another takes it over."""
_PATIENCE = 60.0
_LAST_TABLE = "alembic_version"
"""Optuna makes it when it has made the others."""
_HINT = "Name a database: queue='sqlite:////shared/runs.db' on one host, 'postgresql://user@host/name' for several."


def open_storage(given: str | None, beat: int, grace: int, must_exist: bool) -> tuple[RDBStorage, RDBStorage]:
    """The storage at an address, by default SPARKLABEL_RUNS, else `sparklabel-runs.db` in the working directory: one to
    write with, and one to read with, which locks nobody out. Its tables are made if there are none, unless it is to
    exist.

    Raises:
        SetupError: It is to exist and does not, the database's driver is missing, it cannot be reached, MLflow or
            another program has it, or another version of Optuna made it.
    """
    url = _address(given)
    address = url.render_as_string(hide_password=False)
    logging.getLogger("optuna").setLevel(logging.WARNING)  # it tells of each study that is made
    file = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
    settings: dict[str, Any] = {"connect_args": {"timeout": _PATIENCE}} if file else {"pool_pre_ping": True}
    if url.get_backend_name() == "postgresql":
        # Heartbeats have no zone: a switch to summer time would age them.
        settings["connect_args"] = {"options": "-c timezone=UTC"}
    if is_new := not _has_tables(url, settings, file):
        if must_exist:
            raise SetupError(
                f"There is no queue of runs at {without_credentials(address)}: nothing was ever submitted there.",
                hint=f"{_HINT} Without queue= it is {ADDRESS}, or {DEFAULT} in the working directory.",
            )
        _check_not_mlflows(url)
    # Of two processes that make the tables of a new file at once, one would fail.
    lock = held(file.with_name(f"{file.name}.lock"), "makes the queue of runs") if is_new and file else None
    with queue_errors(address), warnings.catch_warnings(), lock or nullcontext():
        warnings.simplefilter("ignore")  # heartbeats are experimental, it says; they are tested here
        template = address.replace("{", "{{").replace("}", "}}")  # as Optuna reads it
        storage = RDBStorage(template, settings, heartbeat_interval=beat, grace_period=grace)
        if file is None:
            return storage, storage
        _exclude_writers(storage.engine)
        reader = RDBStorage(
            template, settings, skip_compatibility_check=True, heartbeat_interval=beat, grace_period=grace,
            skip_table_creation=True,
        )  # fmt: skip
        return storage, reader


@contextmanager
def queue_errors(address: str) -> Iterator[None]:
    """Turns what Optuna and SQLAlchemy raise inside the block into a SetupError that names the queue."""
    where = without_credentials(address)
    try:
        yield
    except SparklabelError:
        raise
    except ImportError as error:
        raise SetupError(
            f"The queue at {where} needs a package: {first_line(error)}",
            hint="Install it: psycopg[binary] for postgresql+psycopg://, pymysql for mysql+pymysql://.",
        ) from None
    except OSError as error:
        raise SetupError(
            f"The queue at {where} cannot be written: {error.strerror or first_line(error)}",
            hint="Name a database in a folder that you can write.",
        ) from None
    except KeyError:  # so Optuna says that a study or a trial is not there
        raise SetupError(
            f"The queue at {where} has no such record any more.", hint="Was the submission deleted meanwhile?"
        ) from None
    except RuntimeError as error:  # so Optuna refuses another version's tables
        if "optuna" not in str(error):
            raise
        raise SetupError(
            f"The queue at {where} was made by another version of Optuna: {first_line(error)}",
            hint="Install that version, or name another database. `optuna storage upgrade` upgrades the tables of "
            "an older one.",
        ) from None
    except (OptunaError, SQLAlchemyError) as error:
        cause: BaseException = error  # Optuna's own words say nothing of it
        while cause.__cause__:
            cause = cause.__cause__
        # What SQLAlchemy says after the first line quotes statements, and a driver may quote the address.
        raise SetupError(
            f"The queue at {where} failed: {_without_address(first_line(cause), address)}", hint=_HINT
        ) from None


def _address(given: str | None) -> URL:
    """The address, with the driver that is installed where PostgreSQL's default is not."""
    text = given if given is not None else os.environ.get(ADDRESS) or DEFAULT
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError, AttributeError):
        # Quoted only where it cannot have a password in a place where none is looked for.
        if isinstance(text, str) and not any(mark in text for mark in "@:"):
            hint = f"For a file: queue={f'sqlite:///{text}'!r}." if text.strip() else _HINT
            raise SetupError(f"queue={text!r} is not the address of a database.", hint=hint) from None
        raise SetupError("queue= is not the address of a database.", hint=_HINT) from None
    if backend in ("postgresql", "postgres"):
        driver = url.drivername.partition("+")[2] or ("psycopg2" if find_spec("psycopg2") else "psycopg")
        return url.set(drivername=f"postgresql+{driver}")
    if backend != "sqlite":
        return url
    if url.database in (None, "", ":memory:"):
        raise SetupError("queue= is a database in memory, which no other process sees.", hint=_HINT)
    file = Path(url.database or "").absolute()
    if not file.parent.is_dir():
        raise SetupError(f"queue: the folder {file.parent} does not exist.", hint="Make it, or name another.")
    return url.set(database=str(file))


def _has_tables(url: URL, settings: dict[str, Any], file: Path | None) -> bool:
    """Whether somebody has made the queue's tables. Looking makes no file. Raises SetupError if the database cannot be
    reached, or is another program's."""
    if file is not None and not file.exists():
        return False
    with queue_errors(url.render_as_string(hide_password=False)):
        engine = create_engine(url, **settings)
        try:
            tables = set(inspect(engine).get_table_names())
        finally:
            engine.dispose()
    if tables and "studies" not in tables:
        raise SetupError(
            f"The database {without_credentials(str(url))} has tables of another program.",
            hint="Name one of its own for the queue of runs.",
        )
    return _LAST_TABLE in tables


def _check_not_mlflows(url: URL) -> None:
    """Raises SetupError for the database that MLflow would make: it refuses one that has other tables."""
    with suppress(ArgumentError):  # a server, or files
        if _place(url) == _place(make_url(tracking_uri())):
            raise SetupError(
                f"{without_credentials(str(url))} is MLflow's store.",
                hint="Name another database for the queue of runs.",
            )


def _place(url: URL) -> tuple[object, ...]:
    is_file = url.get_backend_name() == "sqlite" and url.database
    return (url.host, url.port, Path(str(url.database)).resolve() if is_file else url.database)


def _exclude_writers(engine: Engine) -> None:
    """Each transaction takes the lock for writing at its beginning. Without it two processes read that a run waits, and
    both claim it (8 of 200 times, measured): Optuna relies on SELECT FOR UPDATE, which SQLite does not know.

    The recipe is SQLAlchemy's, "Serializable isolation / Savepoints / Transactional DDL" of its SQLite dialect. With a
    write-ahead log who reads and is stopped in the middle of it keeps nobody from writing.
    """
    engine.dispose()

    @event.listens_for(engine, "connect")
    def _leave_begin_to_us(connection: Any, record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _without_address(text: str, address: str) -> str:
    """The text without the address's password, which a driver's message may repeat."""
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        password = ""
    for secret in filter(None, {address, password, unquote(password)}):
        text = text.replace(secret, "...")
    return text
