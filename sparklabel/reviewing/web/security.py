"""What every request must meet before anything of ours looks at it, and what every response says to the browser.

In: requests. Out: refusals, or the app's responses with our headers. Who somebody is, is found in `sign_in`.

- Another Host than ours: 421. A page elsewhere whose name was pointed at this machine (DNS rebinding) ends here.
- A request from another site, by `Sec-Fetch-Site`, or by `Origin` where a browser sends only that: 403. What changes
  something must have our own header too, which a form of another site cannot send.
- More than 1 MB: 413, by the length that is announced, and by what comes.
"""

import ipaddress
import socket
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparklabel.reviewing.web.refusals import Refusal, refused

LARGEST_BODY = 1_000_000
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
OWN_HEADER = "x-sparklabel"
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE = ("GET", "HEAD")
_MOST_WRONG, _WRONG_SECONDS, _MOST_ADDRESSES = 10, 60.0, 10_000


class Guard:
    """The app, behind our checks.

    Args:
        app: What it guards.
        hosts: Names under which the server may be reached, without port.
        any_address: Whether every IP address is such a name, too: then it listens for other machines.
        trusted: Addresses of proxies, which may pass on any Host.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], any_address: bool, trusted: Iterable[str]) -> None:
        self._app, self._hosts, self._any_address = app, frozenset(hosts), any_address
        self._trusted = frozenset(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request, send = Request(scope), _with_headers(scope, send)
        try:
            self._check(request)
        except Refusal as refusal:
            await refused(request, refusal)(scope, receive, send)
            return
        await self._app(scope, _limited(receive), send)

    def _check(self, request: Request) -> None:
        if not self._is_ours(request):
            raise Refusal(421, "This is not the address of this review.", "Open the link that was printed.")
        if _is_foreign(request.headers):
            if request.method not in _SAFE or request.url.path.startswith(("/api/", "/export/")):
                raise Refusal(403, "Requests from other sites are not taken.")
        elif request.method not in _SAFE:
            if not _is_same_origin(request.headers):
                raise Refusal(403, "Requests that do not say where they come from are not taken.")
            if request.headers.get(OWN_HEADER) != "1":
                raise Refusal(403, "The header X-Sparklabel: 1 is missing.")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            raise too_large()

    def _is_ours(self, request: Request) -> bool:
        if address_of(request) in self._trusted:
            return True
        with suppress(ValueError):
            name = (urlsplit(f"//{request.headers.get('host', '')}").hostname or "").rstrip(".")
            return name in self._hosts or (self._any_address and _is_address(name))
        return False


class Attempts:
    """Counts wrong tokens and passwords by address: after ten in a minute no more are looked at for a while."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wrong: dict[str, deque[float]] = {}

    def check(self, address: str) -> None:
        """Raises a refusal (429) if there were too many."""
        wrong = self._wrong.get(address)
        if wrong and len(wrong) == _MOST_WRONG and (left := wrong[0] + _WRONG_SECONDS - self._clock()) > 0:
            raise Refusal(
                429,
                "There were too many wrong attempts.",
                "Wait a minute.",
                {"Retry-After": str(int(left) + 1)},
            )

    def note(self, address: str) -> None:
        """Notes a wrong attempt."""
        if address not in self._wrong and len(self._wrong) >= _MOST_ADDRESSES:
            self._wrong.pop(next(iter(self._wrong)))
        self._wrong.setdefault(address, deque(maxlen=_MOST_WRONG)).append(self._clock())


def own_hosts(
    host: str, names: Callable[[], Iterable[str]] = lambda: (socket.gethostname(), socket.getfqdn())
) -> set[str]:
    """The names under which a server that listens on `host` may be reached."""
    local = {"localhost", "127.0.0.1", "::1"}
    named = () if host in local else names()
    return local | {host.lower().strip("[]")} | {name.lower() for name in named}


def address_of(request: Request) -> str:
    """The peer's address; empty if it has none."""
    return request.client.host if request.client else ""


def too_large() -> Refusal:
    """The refusal of a body."""
    return Refusal(413, f"A request has at most {LARGEST_BODY:,} bytes.", "Send fewer events at once.")


def _is_foreign(headers: Headers) -> bool:
    """Whether a page of another site made the browser send it."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and not _is_host(origin, headers.get("host"))


def _is_same_origin(headers: Headers) -> bool:
    if (site := headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    return _is_host(headers.get("origin", ""), headers.get("host"))


def _is_host(origin: str, host: str | None) -> bool:
    return bool(host) and urlsplit(origin).netloc.lower() == (host or "").lower()


def _is_address(name: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False


def _with_headers(scope: Scope, send: Send) -> Send:
    is_static = scope["path"].startswith("/static/")

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            # Assets are asked for again by their ETag; answers and texts are kept nowhere.
            headers["Cache-Control"] = "no-cache" if is_static else "no-store"
        await send(message)

    return sending


def _limited(receive: Receive) -> Receive:
    """Counts what comes: a length may be left out, or be wrong."""
    came = 0

    async def receiving() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > LARGEST_BODY:
            raise too_large()
        return message

    return receiving
