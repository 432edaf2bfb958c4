"""An HTTP server in a thread, with an event loop of its own.

In: an app, a socket that listens. Out: a server that runs until it is stopped, and a way to run coroutines beside it.
"""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from starlette.types import ASGIApp

from sparklabel.errors import SetupError

Found = TypeVar("Found")
_KEEP_ALIVE = 75
"""Seconds that a connection without requests stays open."""
_GRACE = 2
"""Seconds that requests under way have when the server is stopped."""


class ServerThread:
    """A running server.

    Args:
        app: What it serves.
        listening: Its socket; it is closed with the server.
        tls_cert, tls_key: Files for HTTPS.

    Raises:
        SetupError: They cannot be used.
    """

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
    ) -> None:
        # A log of requests would hold the link's token.
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, server_header=False, proxy_headers=False,
            ssl_certfile=tls_cert, ssl_keyfile=tls_key, timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE, ws="none", loop="asyncio",
        )  # fmt: skip
        try:
            config.load()  # in this thread, so that a wrong certificate is told here
        except OSError as error:  # ssl.SSLError is one
            raise SetupError(
                f"{tls_cert} and {tls_key} are not a certificate and its key: {error}.",
                hint="Both are PEM files; the key has no password.",
            ) from None
        self._server, self._listening = uvicorn.Server(config), listening
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="review-server", daemon=True)
        self._thread.start()
        self._is_running.wait()

    @property
    def is_running(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive()

    def submit(self, work: Coroutine[Any, Any, Found]) -> "Future[Found]":
        """Runs a coroutine in the server's loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """Ends it, and what runs beside it. A second call does nothing."""
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._loop.call_soon(self._is_running.set)
            runner.run(self._server.serve(sockets=[self._listening]))
