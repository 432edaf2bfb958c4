"""The port that a review listens on, and who has it if it is taken.

In: a host and a port. Out: a socket that listens, or an error that names another review of ours, and the next free
port.
"""

import errno
import http.client
import json
import socket
from contextlib import closing, suppress
from typing import Any

from sparklabel.errors import SetupError

_APP = "sparklabel review"
_NEXT = 20
_BACKLOG = 2048
_PATIENCE = 1.0


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free. Raises SetupError."""
    try:
        return _socket(host, port)
    except socket.gaierror:
        raise SetupError(
            f"There is no host {host!r} here.", hint="Give an address of this machine."
        ) from None
    except OverflowError:
        raise SetupError(f"{port} is not a port.") from None
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise SetupError(f"{host}:{port} cannot be listened on: {error.strerror}.") from None
    free = next((other for other in range(port + 1, port + _NEXT) if _is_free(host, other)), 0)
    raise SetupError(
        f"Port {port} is taken by {_holder(host, port)}.", hint=f"Take another one: --port {free}."
    )


def _socket(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    # asyncio switches Nagle's algorithm off only for sockets whose protocol is named: each answer took 40 ms longer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _is_free(host: str, port: int) -> bool:
    try:
        _socket(host, port).close()
    except (OSError, OverflowError):
        return False
    return True


def _holder(host: str, port: int) -> str:
    """Who answers there, in words."""
    found = _health("127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host, port)
    if found.get("app") != _APP:
        return "another program"
    return f"another review, of {found.get('table', 'some table')} (process {found.get('pid', 'unknown')})"


def _health(host: str, port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    with closing(connection), suppress(OSError, http.client.HTTPException, ValueError):
        connection.request("GET", "/healthz")
        found = json.loads(connection.getresponse().read(10_000))
        return found if isinstance(found, dict) else {}
    return {}
