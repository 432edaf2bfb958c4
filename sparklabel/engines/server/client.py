"""The engine as a task sees it: an `Engine` whose work another process does.

In: requests. Out: what the process answers. Loads no model and no library that could: a Spark worker that only asks
starts at once. Several threads may ask at the same time; each has a connection while it does.
"""

from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.engines.engine import Generation, GenerationRequest, ScoringRequest
from sparklabel.engines.server.place import Place
from sparklabel.errors import EngineDied


class Connections:
    """Those to one process. A connection that broke is the process's death: the process closes none."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._idle: deque[Connection] = deque()

    def ask(self, name: str, *arguments: Any) -> Any:
        """The answer. Raises what the process raises, and EngineDied where it is gone."""
        try:
            connection = self._idle.pop() if self._idle else self._open()
            connection.send((name, *arguments))
            well, answer = connection.recv()
        except (OSError, EOFError) as error:
            raise EngineDied(
                f"The engine's process is gone ({type(error).__name__}).",
                hint=f"Its log: {self.place.log} (log.1 once another was started)",
            ) from error
        self._idle.append(connection)
        if not well:
            raise answer
        return answer

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> Connection:
        return Client(str(self.place.socket), family="AF_UNIX")


class ServedTokenizer:
    """The tokenizer of the process, so that this one needs none."""

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
    """`adapter`: the folder of the fine-tuned weights, named by their hash, that this engine's requests are for."""

    def __init__(self, connections: Connections, adapter: Path | None = None) -> None:
        self._connections, self._adapter = connections, adapter
        self.tokenizer = ServedTokenizer(connections)

    def score(self, request: ScoringRequest) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._connections.ask("ask", self._adapter, request)
        return scores

    def generate(self, request: GenerationRequest) -> list[Generation]:
        written: list[Generation] = self._connections.ask("ask", self._adapter, request)
        return written

    def close(self) -> None:
        """Ends the connections; the process stays."""
        self._connections.close()
