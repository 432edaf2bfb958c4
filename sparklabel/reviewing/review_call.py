"""What a review was asked for: the arguments of `sparklabel review` and `sl.review`, checked before anything is opened.

In: arguments. Out: a frozen record, or an error that names the wrong one. Whether the table, the key and the columns
exist is checked by the table's side, which has Spark.
"""

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparklabel.arguments import check_flags, is_number
from sparklabel.errors import SetupError, TaskError
from sparklabel.tasks import Task, check_task

AUTO, SENTENCE, HIDDEN, NONE = FEATURES = ("auto", "sentence", "hidden", "none")
"""What a live probe may read of rows."""
PATHS = ("journal", "users", "tls_cert", "tls_key")
"""The arguments that name files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCall:
    """What is reviewed, and how.

    Attributes:
        table, tasks, key, column, into, where: As `label_table` has them.
        model: The model that the playground begins with; None: the embedded one.
        answers: The answers table; None: named after the table and the task.
        journal: The file that holds every answer.
        host, port: Where the server listens.
        rows: How many rows are loaded at most.
        audit_share: The share of audit rows until there are `judges` of them.
        overlap: The share of audit rows that two people are asked.
        goal: How many answers people want to reach; None: no goal.
        flush_every: Seconds between two updates of the labels.
        features: What the live probe reads, one of `FEATURES`.
        users: A YAML file of people, their roles and passwords.
        user_header, trust: The header in which a proxy names its user, and the addresses of such proxies.
        tls_cert, tls_key: Files for HTTPS.
        read_only: Whether nobody can answer.

    Raises:
        SetupError: A value cannot be used.
        TaskError: There is no task, or two have one name.
    """

    table: str
    tasks: tuple[Task, ...]
    key: tuple[str, ...] | None = None
    column: str | None = None
    into: str | None = None
    where: str | None = None
    model: str | None = None
    answers: str | None = None
    journal: Path = Path("review.db")
    host: str = "127.0.0.1"
    port: int = 8765
    rows: int = 20_000
    audit_share: float = 0.3
    judges: int = 100
    overlap: float = 0.1
    goal: int | None = None
    flush_every: float = 60.0
    features: str = AUTO
    users: Path | None = None
    user_header: str | None = None
    trust: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    read_only: bool = False

    def __post_init__(self) -> None:
        _check_tasks(self)
        for name in ("audit_share", "overlap"):
            _check_number(name, getattr(self, name), 0, 1)
        _check_number("flush_every", self.flush_every, 1)
        for name, least in {"rows": 1, "judges": 0, "port": 0, "goal": 1}.items():
            _check_count(name, getattr(self, name), least)
        check_flags(SetupError, read_only=self.read_only)
        _check_access(self)
        if self.features not in FEATURES:
            raise SetupError(f"features={self.features!r} is not one of {', '.join(FEATURES)}.")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host == "localhost" or (_is_address(self.host) and _address(self.host).is_loopback)

    def about(self) -> dict[str, Any]:
        """What the journal remembers of it, as JSON has it: a journal is of one table and its tasks."""
        return {
            "table": self.table, "into": self.into, "column": self.column,
            "key": list(self.key) if self.key else None, "answers": self.answers,
            "tasks": [task.to_dict() for task in self.tasks],
        }  # fmt: skip

    def answers_name(self, task: str) -> str:
        """The answers table of a task, by its name."""
        return answers_name(self.about(), task)


def answers_name(about: Mapping[str, Any], task: str) -> str:
    """The answers table of a task: the one that was named, otherwise beside the table that is reviewed.

    Args:
        about: What `ReviewCall.about` gives, and the journal remembers.
        task: The task's name.
    """
    if about.get("answers"):
        return str(about["answers"])
    table = str(about["table"]).rstrip("/")
    mark = "`" if table.endswith("`") else ""
    return f"{table.removesuffix('`').rstrip('/')}_{task}_answers{mark}"


def _check_tasks(call: ReviewCall) -> None:
    if not call.tasks:
        raise TaskError("There is no task to review.", hint="Give at least one.")
    for task in call.tasks:
        check_task(task)
    names = [task.name.lower() for task in call.tasks]
    if len(set(names)) < len(names):
        raise TaskError(f"Two tasks have one name: {', '.join(task.name for task in call.tasks)}.")
    if len(names) > 1 and (call.answers or call.column):
        given = "answers" if call.answers else "column"
        raise SetupError(
            f"{given}= names one for {len(names)} tasks, which cannot share it.",
            hint="Leave it out, or review one task at a time.",
        )


def _check_access(call: ReviewCall) -> None:
    for name in PATHS:
        value = getattr(call, name)
        if not isinstance(value, Path) and (value is not None or name == "journal"):
            raise SetupError(f"{name}={value!r} is not a path.")
    if (call.tls_cert is None) != (call.tls_key is None):
        raise SetupError(
            "HTTPS needs a certificate and its key.", hint="Give both: --tls-cert FILE --tls-key FILE."
        )
    if bool(call.user_header) != bool(call.trust):
        raise SetupError(
            "A header names users only if it comes from a proxy that is trusted.",
            hint="Give both: --user-header NAME --trust ADDRESS.",
        )
    for address in call.trust:
        if not _is_address(address):
            raise SetupError(f"trust={address!r} is not an IP address.")
    for file in (call.users, call.tls_cert, call.tls_key):
        if file is not None and not file.is_file():
            raise SetupError(f"There is no file {file}.")


def _is_address(text: str) -> bool:
    try:
        _address(text)
    except ValueError:
        return False
    return True


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text)


def _check_number(name: str, value: object, low: float, high: float = math.inf) -> None:
    if not is_number(value) or not low <= value <= high or math.isinf(value):
        limits = f"between {low:g} and {high:g}" if math.isfinite(high) else f"of at least {low:g}"
        raise SetupError(f"{name}={value!r} is not a number {limits}.")


def _check_count(name: str, value: object, least: int) -> None:
    if value is None and name == "goal":
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SetupError(f"{name}={value!r} is not a whole number of at least {least}.")
