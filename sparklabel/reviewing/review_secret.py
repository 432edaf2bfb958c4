"""What a server knows and nobody else does: the token of its link, and the key that signs its cookies.

In: the journal's file. Out: texts derived from random bytes in a file beside it, which only its owner may read. So the
link and the cookies of open browsers outlive a server that is killed: what waits in these browsers can be sent.
"""

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from sparklabel.errors import SetupError

_BYTES = 32


@dataclass(frozen=True, slots=True)
class ReviewSecret:
    """`token` opens the review to who has the link; `cookie_key` signs who somebody is."""

    token: str = field(repr=False)
    cookie_key: str = field(repr=False)


def open_secret(journal: Path) -> ReviewSecret:
    """The secret of a journal; it is made if there is none. Raises SetupError if it cannot be read or written."""
    file = journal.with_name(f"{journal.name}.secret")
    try:
        content = file.read_bytes() if file.exists() else _new(file)
    except OSError as error:
        raise SetupError(
            f"The file {file} cannot be used: {error.strerror}.",
            hint="It keeps the link of the review valid.",
        ) from None
    if len(content) != _BYTES:
        raise SetupError(
            f"{file} is not the secret of a review.", hint="Delete it; links that were given out end."
        )
    return ReviewSecret(_derived(content, b"link")[:32], _derived(content, b"cookie"))


def _new(file: Path) -> bytes:
    content = secrets.token_bytes(_BYTES)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    return content


def _derived(content: bytes, purpose: bytes) -> str:
    digest = hmac.digest(content, b"sparklabel review v1: " + purpose, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
