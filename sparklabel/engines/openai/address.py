"""Where a model behind HTTP is, and what labels call it.

In: addresses and names. Out: whether they may be recorded and shown, and a model's identity. Needs nothing installed,
and asks no endpoint.
"""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

DEFAULT_URL = "https://api.openai.com/v1"


def endpoint_here() -> str:
    """The address that this process's environment names, or OpenAI's own."""
    return os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL


def is_endpoint(value: Any) -> bool:
    """Whether it is an address that may be shown: without a user, a password or a query."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not (
            "@" in parts.netloc or parts.query or parts.fragment or (parts.port or 1) < 1
        )  # fmt: skip
    except ValueError:
        return False


def is_variable(value: Any) -> bool:
    """Whether it can be the name of an environment variable. Most keys cannot, so a key given by mistake is refused."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", value) is not None


def identity(model: str, options: Mapping[str, Any]) -> str:
    """`openai:MODEL@HOST`, as labels record it. Nothing pins it: an endpoint may change a model under its name."""
    return f"openai:{model}@{host(options['base_url'])}"


def model_of(identity: str) -> str:
    """The model's name at its endpoint."""
    return identity.removeprefix("openai:").rpartition("@")[0]


def host(base_url: str) -> str:
    """The host, with its port if the address has one."""
    return urlsplit(base_url).netloc
