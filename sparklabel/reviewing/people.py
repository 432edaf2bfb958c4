"""People: who may answer, in which role, and how a password is checked.

In: a YAML file of people. Out: their names, roles, and whether a password is theirs. Nothing here knows requests.
"""

import base64
import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from sparklabel.errors import SetupError
from sparklabel.tasks.yaml_files import load_yaml, reading_problem

READER, ANNOTATOR, LEAD = ROLES = ("reader", "annotator", "lead")
LONGEST_NAME = 100
_N, _R, _P, _BYTES = 2**14, 8, 1, 32
"""Of scrypt (RFC 7914): 16 MiB and about 50 ms a password."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who sends a request. `visit` tells apart two browsers that gave one name."""

    name: str
    role: str
    visit: str = ""

    def may(self, role: str) -> bool:
        """Whether the person's role is this one, or above it."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Account:
    """A person of the users file. `hash` is what `hashed` gave."""

    role: str
    hash: str = field(repr=False, default="")


def read_accounts(file: Path) -> dict[str, Account]:
    """The people of a users file: a YAML list of `{name, role, password}`, where `password` is what `sparklabel
    review-user` prints. Behind a proxy it may be missing. Raises SetupError."""
    try:
        found = load_yaml(file)
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem, hint = reading_problem(error, file)
        raise SetupError(f"The users file {file} cannot be read: {problem}", hint=hint) from None
    if not isinstance(found, list) or not found:
        raise _wrong(file, "it is not a list of people")
    accounts: dict[str, Account] = {}
    for entry in found:
        name, account = _account(file, entry)
        if name in accounts:
            raise _wrong(file, f"{name!r} is there twice")
        accounts[name] = account
    return accounts


def checked_name(text: object) -> str:
    """A person's name, without blanks around it. Raises ValueError, whose text tells a person why it cannot be used."""
    name = unicodedata.normalize("NFC", text).strip() if isinstance(text, str) else ""
    if not name:
        raise ValueError("Give a name.")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"A name has at most {LONGEST_NAME} characters.")
    if not all(character.isprintable() for character in name):
        raise ValueError("A name has no line breaks or control characters.")
    return name


def hashed(password: str) -> str:
    """What a users file holds in place of the password."""
    salt = secrets.token_bytes(16)
    return f"scrypt:{_N}:{_R}:{_P}:{_text(salt)}:{_text(_scrypt(password, salt, _N, _R, _P))}"


def is_password(account: Account | None, password: str) -> bool:
    """Whether it is the account's. Takes as long without an account, so that time does not tell who has one."""
    scheme, *parts = (account.hash if account and account.hash else _NOBODYS).split(":")
    n, r, p = map(int, parts[:3])
    salt, right = map(base64.b64decode, parts[3:])
    fits = hmac.compare_digest(_scrypt(password, salt, n, r, p), right)
    return fits and scheme == "scrypt" and account is not None and bool(account.hash)


def _account(file: Path, entry: object) -> tuple[str, Account]:
    if not isinstance(entry, Mapping):
        raise _wrong(file, f"{entry!r} is not a person")
    if unknown := set(entry) - {"name", "role", "password"}:
        raise _wrong(file, f"a person has no {sorted(map(str, unknown))[0]!r}")
    try:
        name = checked_name(entry.get("name"))
    except ValueError as error:
        raise _wrong(file, f"the name {entry.get('name')!r} cannot be used: {error}") from None
    role, password = entry.get("role", ANNOTATOR), entry.get("password", "")
    if role not in ROLES:
        raise _wrong(file, f"{name!r} has the role {role!r}, which is not one of {', '.join(ROLES)}")
    if password and not _is_hash(password):
        raise _wrong(file, f"the password of {name!r} is not one that `sparklabel review-user` prints")
    return name, Account(role, password or "")


def _is_hash(text: object) -> bool:
    parts = text.split(":") if isinstance(text, str) else []
    if len(parts) != 6 or parts[0] != "scrypt" or not all(map(str.isdecimal, parts[1:4])):
        return False
    n, r, p = map(int, parts[1:4])
    # 128 * n * r bytes are taken for each password: a file must not make the server take all of the machine's.
    return n > 1 and n & (n - 1) == 0 and 0 < n * r <= 2**20 and 0 < p <= 16


def _wrong(file: Path, why: str) -> SetupError:
    return SetupError(
        f"The users file {file} cannot be used: {why}.",
        hint="It is a list of {name, role, password}; `sparklabel review-user NAME` prints an entry.",
    )


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, dklen=_BYTES, maxmem=256 * n * r + 2**20)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


_NOBODYS = f"scrypt:{_N}:{_R}:{_P}:{_text(bytes(16))}:{_text(bytes(_BYTES))}"
