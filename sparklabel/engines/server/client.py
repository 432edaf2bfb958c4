"""The engine as a task sees it: an `Engine` whose work is done in another process.

In: requests. Out: the process's answers. It loads neither a model nor a library for models, so that a Spark worker
starts at once. Several threads may call it at the same time, each over a connection of its own.
"""

import os
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.engines.base import Completion, GenerationRequest, HiddenStatesRequest, ScoringRequest
from sparklabel.engines.server.endpoint import Endpoint
from sparklabel.errors import EngineDied

SILENCE = 60.0
"""Seconds without an answer after which the process is probed, and within which it must respond to the probe."""


class Connections:
    """The connections to one process. A broken connection means that the process died: it never closes one."""

    def __init__(self, endpoint: Endpoint, silence: float = SILENCE) -> None:
        self.endpoint, self._silence = endpoint, silence
        self._idle: deque[Connection] = deque()

    def ask(self, name: str, *arguments: Any) -> Any:
        """The answer, however long it takes. Raises what the process raises, and EngineDied if it is gone or hangs."""
        try:
            connection = self._taken() or open_connection(self.endpoint)
            with self._watched(connection):
                connection.send((name, *arguments))
                well, answer = connection.recv()
        except (OSError, EOFError) as error:
            raise EngineDied(
                f"The engine's process is gone ({type(error).__name__}).",
                hint=f"Its log is {self.endpoint.log}, or log.1 if another one was started since.",
            ) from error
        self._idle.append(connection)
        if not well:
            raise answer
        return answer

    def close(self) -> None:
        while connection := self._taken():
            connection.close()

    def _taken(self) -> Connection | None:
        """An idle connection, which no other thread gets now; None if there is none."""
        with suppress(IndexError):  # not "if it has one": another thread may take that one first
            return self._idle.pop()
        return None

    @contextmanager
    def _watched(self, connection: Connection) -> Iterator[None]:
        """Breaks the connection if the process no longer responds, so that the call that waits for it fails."""
        done, ending = threading.Event(), threading.Lock()

        def watch() -> None:
            while not done.wait(self._silence):
                if answers(self.endpoint, self._silence):
                    continue
                with ending:
                    if not done.is_set():
                        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as pipe:
                            pipe.shutdown(socket.SHUT_RDWR)
                return

        threading.Thread(target=watch, name="watch", daemon=True).start()
        try:
            yield
        finally:
            with ending:
                done.set()


def open_connection(endpoint: Endpoint) -> Connection:
    return Client(str(endpoint.socket), family="AF_UNIX")


def answers(endpoint: Endpoint, patience: float) -> bool:
    """Whether the process responds within `patience` seconds. It does so even while it computes."""
    heard = threading.Event()

    def listen() -> None:
        with suppress(OSError, EOFError), open_connection(endpoint) as probe:
            probe.send(("status",))
            probe.recv()
            heard.set()

    probing = threading.Thread(target=listen, daemon=True)
    probing.start()
    probing.join(patience)
    return heard.is_set()


class ServedTokenizer:
    """The tokenizer of the serving process, so that this process needs none."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        facts = connections.ask("tokenizer")
        self.bos: str = facts["bos"]
        self.stop_ids: tuple[int, ...] = facts["stop_ids"]
        self.context: int = facts["context"]

    def encode(self, text: str, *, inside: bool = False) -> list[int]:
        ids: list[int] = self._ask("encode", text, inside=inside)
        return ids

    def encode_rows(self, texts: Sequence[str], *, behind: str | None = None) -> list[list[int]]:
        ids: list[list[int]] = self._ask("encode_rows", list(texts), behind=behind)
        return ids

    def chat(self) -> tuple[str, str] | None:
        parts: tuple[str, str] | None = self._ask("chat")
        return parts

    def chat_lead(self) -> str:
        return str(self._ask("chat_lead"))

    def _ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        return self._connections.ask("tokenize", method, arguments, named)


class ServedEngine:
    """An engine in another process. `adapter`: the folder of the fine-tuned weights for this engine's requests, which
    is named by their hash."""

    def __init__(self, connections: Connections, adapter: Path | None = None) -> None:
        self._connections, self._adapter = connections, adapter
        self.tokenizer = ServedTokenizer(connections)

    def score(self, request: ScoringRequest) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._connections.ask("ask", self._adapter, request)
        return scores

    def generate(self, request: GenerationRequest) -> list[Completion]:
        written: list[Completion] = self._connections.ask("ask", self._adapter, request)
        return written

    def hidden_states(self, request: HiddenStatesRequest) -> NDArray[np.float32]:
        states: NDArray[np.float32] = self._connections.ask("ask", None, request)
        return states

    def close(self) -> None:
        """Closes the connections. The process stays."""
        self._connections.close()
