"""The process that serves a model, at the other end of the socket.

In: what to serve, on standard input. Out: an error on standard output if it cannot be served, then answers on a private
socket. The process belongs to no terminal and outlives the task that started it. It ends after some time without
requests, and when the processes that it works for are gone: an executor that dies takes its engine along.
"""

import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, BinaryIO

from sparklabel.engines.base import Engine, SharedEngine
from sparklabel.engines.registry import open_engine
from sparklabel.engines.server.batcher import Batcher, Request, ask
from sparklabel.engines.server.endpoint import CPU, Endpoint, ServingSpec
from sparklabel.engines.server.gpu_presence import enter_gpu
from sparklabel.engines.server.liveness import ClientProcesses
from sparklabel.errors import EngineDied, EngineError, SparklabelError
from sparklabel.progress import LOG, PrintableFormatter
from sparklabel.redaction import typed_line

_LOG = logging.getLogger(__name__)
IDLE_SECONDS = 300.0
_LOOK_SECONDS = 0.5
_ADAPTERS_KEPT = 8
_SHARED_GPU = (
    "Another engine of sparklabel is on the GPU %s: another user's, or one of yours with another TMPDIR. Both take "
    "memory there, and the second may get none: give each a GPU, one TMPDIR, or a smaller gpu_memory_utilization."
)


@dataclass(frozen=True, slots=True)
class Start:
    """What the process receives when it is started. `owner`: the first process that it works for."""

    endpoint: Endpoint
    served: ServingSpec
    owner: int
    idle_seconds: float = IDLE_SECONDS


class Server:
    """Answers clients, each in a thread of its own. If the engine takes one call at a time, their requests are
    batched."""

    def __init__(self, start: Start) -> None:
        self.served, self._endpoint, self._idle_seconds = start.served, start.endpoint, start.idle_seconds
        self.clients = ClientProcesses(start.owner)
        engine = open_engine(start.served.engine, start.served.model, start.served.base, None)
        self._engine, self._tokenizer = engine, engine.tokenizer
        self._batcher = None if start.served.engine.kind.concurrent else Batcher()
        self._adapted: dict[Path, Future[Engine]] = {}
        self._adapting, self._loading, self._counting = threading.Lock(), threading.Lock(), threading.Lock()
        self._busy, self._asked, self._ending = 0, time.monotonic(), ""
        self._rows = 0

    def listen(self) -> None:
        """Opens the socket. From now on clients are answered."""
        listener = Listener(str(self._endpoint.socket), family="AF_UNIX", backlog=64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        self._endpoint.publish(served=str(self.served), loading=False)

    def watch(self) -> str:
        """Returns the reason once it is time to end."""
        while True:
            time.sleep(_LOOK_SECONDS)
            if not self.clients.any_alive():
                return "the processes that it worked for have ended"
            with self._counting:
                if not self._busy and time.monotonic() - self._asked > self._idle_seconds:
                    return f"no requests for {self._idle_seconds:g} seconds"

    def end(self, reason: str) -> None:
        """Ends the process without waiting for threads. It can no longer be found once its socket is gone. Its log says
        how many rows were requested."""
        self._endpoint.socket.unlink(missing_ok=True)
        _LOG.info("ends: %s; rows requested: %d", reason, self._rows)
        os._exit(0)

    def _accept(self, listener: Listener) -> None:
        while True:
            threading.Thread(target=self._answer, args=(listener.accept(),), daemon=True).start()

    def _answer(self, client: Connection) -> None:
        with client:
            while True:
                try:
                    client.send(self._answered(client.recv_bytes()))
                except (EOFError, OSError):  # the client has left
                    return
                if self._ending:
                    self.end(self._ending)

    def _answered(self, asked: bytes) -> tuple[bool, Any]:
        """Whether the call succeeded, and its answer or its error."""
        try:
            name, *arguments = pickle.loads(asked)
            return True, getattr(self, f"do_{name}")(*arguments)
        except EngineDied as error:
            self._ending = f"the engine died: {error.message}"
            return False, error
        except SparklabelError as error:
            return False, error
        except Exception as error:  # noqa: BLE001 raised in the client, as text: it may hold what cannot be pickled
            _LOG.exception("a bug")
            return False, RuntimeError(
                f"{typed_line(error)}\nIn the engine's process:\n{traceback.format_exc()}"
            )

    def do_status(self) -> dict[str, Any]:
        with self._counting:
            return {"busy": self._busy, "idle_seconds": time.monotonic() - self._asked}

    def do_register_client(self, owner: int) -> None:
        with self._counted():  # the client's first request is on its way
            self.clients.add(owner)

    def do_shutdown_if_idle(self, settled: float) -> bool:
        """Ends the process if it had no request for this many seconds. Returns whether it ends."""
        with self._counting:
            if not self._busy and time.monotonic() - self._asked >= settled:
                self._ending = "another model needs the device"
        return bool(self._ending)

    def do_tokenizer(self) -> dict[str, Any]:
        return {name: getattr(self._tokenizer, name) for name in ("bos", "stop_ids", "context")}

    def do_tokenize(self, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        with self._counted():
            return getattr(self._tokenizer, method)(*arguments, **named)

    def do_ask(self, adapter: Path | None, request: Request) -> Any:
        with self._counted(len(request.rows)):
            engine = self._engine if adapter is None else self._with_adapter(adapter)
            return self._batcher.run(engine, request) if self._batcher else ask(engine, request)

    def _with_adapter(self, adapter: Path) -> Engine:
        """The engine with an adapter. The first request loads it; requests for others that are loaded do not wait."""
        if not isinstance(self._engine, SharedEngine):
            raise EngineError(f"The {self.served.engine.name} engine does not support adapters.")
        with self._adapting:
            known = self._adapted.pop(adapter, None)
            found = self._adapted[adapter] = known or Future()
            while len(self._adapted) > _ADAPTERS_KEPT:
                del self._adapted[next(iter(self._adapted))]
        if known is None:
            try:
                with self._loading:
                    found.set_result(self._engine.with_adapter(adapter))
            except BaseException as error:
                found.set_exception(error)
                with self._adapting:
                    self._adapted.pop(adapter, None)
                raise
        return found.result()

    @contextmanager
    def _counted(self, rows: int = 0) -> Iterator[None]:
        with self._counting:
            self._busy += 1
            self._rows += rows
        try:
            yield
        finally:
            with self._counting:
                self._busy -= 1
                self._asked = time.monotonic()


def main() -> None:
    """Reads a pickled `Start` from standard input. Writes a pickled error to standard output, or nothing."""
    start: Start = pickle.load(sys.stdin.buffer)
    ready = os.fdopen(os.dup(1), "wb")
    _write_log()
    os.dup2(2, 1)  # output of libraries goes to the log
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    held = start.endpoint.occupy()
    if held is None:
        _fail(ready, EngineError(f"Another process serves in {start.endpoint.folder}."))
    start.endpoint.remove_sockets()
    start.endpoint.publish(served=str(start.served), loading=True)
    if start.served.device != CPU and not enter_gpu(start.served.device):
        _LOG.warning(_SHARED_GPU, start.served.device)
    try:
        server = Server(start)
        server.listen()
    except SparklabelError as error:
        _fail(ready, error)
    ready.close()
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
    _LOG.info("serves %s; CUDA_VISIBLE_DEVICES=%s", start.served, gpus)
    server.end(server.watch())


def _write_log() -> None:
    """Notes of this package go to standard error, which is the log's file."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)


def _fail(ready: BinaryIO, error: SparklabelError) -> None:
    with suppress(BrokenPipeError), ready:  # the process that started this one may be gone
        pickle.dump(error, ready)
    _LOG.error("%s", error)
    os._exit(1)
