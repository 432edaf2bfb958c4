"""The openai engine's options, and what a model behind HTTP is called in labels. Needs nothing installed."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

DEFAULT_URL = "https://api.openai.com/v1"
CONTEXT = 100_000
STRUCTURED = ("json_schema", "vllm")


def pinned(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the address that holds here and now: workers have environments of their own."""
    return {"base_url": os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL, **options}


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
    """Whether it can be the name of an environment variable; keys themselves mostly cannot."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", value) is not None


def identity(model: str, options: Mapping[str, Any]) -> str:
    """`openai:MODEL@HOST`: what labels say. Who serves a model may change it under its name: nothing pins it."""
    return f"openai:{model}@{host(options['base_url'])}"


def model_of(identity: str) -> str:
    """The model's name at its endpoint."""
    return identity.removeprefix("openai:").rpartition("@")[0]


def host(base_url: str) -> str:
    """With the port, where the address has one."""
    return urlsplit(base_url).netloc
