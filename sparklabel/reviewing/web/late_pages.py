"""The pages of quality and playground, whose code takes a second or two to import: the link is printed before.

In: requests under their paths. Out: their app, which is made when the first request comes, in another thread.
"""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

PREFIXES = ("/quality/", "/playground/")


class LatePages:
    """An app, and one that is made late for what is under `PREFIXES`.

    Args:
        app: Takes all other requests.
        make: Makes the late one.
    """

    def __init__(self, app: ASGIApp, make: Callable[[], ASGIApp]) -> None:
        self._app, self._make = app, make
        self._late: ASGIApp | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIXES):
            await self._app(scope, receive, send)
            return
        async with self._making:
            if self._late is None:
                self._late = await asyncio.to_thread(self._make)
        await self._late(scope, receive, send)
