"""The engine's process, shared by four client processes, killed and replaced.

The clients come at once; one of them starts the process, all ask it. Then it gets SIGKILL, the clients find out, one
of them starts another, and all go on. What both processes said is compared with an engine in this one.

    GiB ...          memory in use on the whole card: before; with the process; once it was killed, before another has
                     loaded; with that one; after it ended. 0 on a CPU
    start s, away s  from nothing to the first answer of every client; from the kill to a new process, as the client
                     that waited longest saw it
    deaths           EngineDied, over all clients: 4, one each
    p differs at most  from the probabilities of an engine in this process
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.agreeing import Agreement, probabilities
from benchmarks.gpu.client import Asked
from benchmarks.gpu.device import GIB, Device
from benchmarks.gpu.kit import Kit
from benchmarks.gpu.ours import (
    CPU,
    ClientProcesses,
    Endpoint,
    ScoringRequest,
    ServingSpec,
    engine_spec,
    visible_gpu,
)
from benchmarks.gpu.prompts import PREFIX, prefix_of, rows_of, trie_of
from benchmarks.gpu.table import FAILED, OK, Line

CLIENTS = 4
_LABELS, _TOKENS, _ROWS = 77, 100, 8
_ENDING_SECONDS = 20.0
_DTYPE = {True: "auto", False: "float32"}


def measure(kit: Kit, model: str) -> Iterator[Line]:
    """One line. Raises NotHere for a model that is never in a folder, since another process must load it."""
    endpoint = gpu_name() if kit.device.is_gpu else CPU
    options = {"dtype": _DTYPE[kit.device.is_gpu], "threads": torch.get_num_threads()}
    served = ServingSpec(engine_spec("transformers", options), model, kit.models.folder(model), endpoint)
    request, expected, dtype = _expected(kit, model)
    with Shared(kit.device, served, request) as shared:
        figures = shared.figures()
    found = np.concatenate([shared.first, shared.last])
    agreement = Agreement.of(found, np.concatenate([expected, expected]), dtype)
    figures |= {"p differs at most": agreement.largest}
    wrong = _wrong(figures, agreement)
    yield Line("server", model, f"{CLIENTS} clients", figures, FAILED if wrong else OK, wrong)


def _wrong(figures: dict[str, Any], agreement: Agreement) -> str:
    if figures["deaths"] != CLIENTS or figures["processes"] != 2:
        return "not every client saw one process die and found the next"
    return "" if agreement.holds else "other answers than those of an engine in this process"


def _expected(kit: Kit, model: str) -> tuple[ScoringRequest, Any, torch.dtype]:
    """All clients' rows, their probabilities by an engine in this process, and the type it computed in."""
    engine = kit.models.engine(model, _DTYPE[kit.device.is_gpu])
    language_model = engine.language_model.model
    vocabulary = language_model.config.vocab_size
    rows = rows_of(CLIENTS * _ROWS, _TOKENS - PREFIX, vocabulary, seed=6)
    request = ScoringRequest(prefix_of(vocabulary), rows, trie_of(_LABELS, engine.tokenizer))
    found = request, probabilities(engine, request), language_model.dtype
    del engine, language_model
    kit.device.free()
    return found


def gpu_name() -> str:
    """The UUID of the GPU that torch calls 0."""
    return visible_gpu() or f"GPU-{torch.cuda.get_device_properties(0).uuid}"


class Shared:
    """The clients and the place of the process; both are gone afterwards. `first` and `last` [rows, labels] are the
    probabilities that the clients got from the first process and from the second."""

    def __init__(self, device: Device, served: ServingSpec, request: ScoringRequest) -> None:
        self._device, self._served, self._request = device, served, request

    def __enter__(self) -> "Shared":
        # A path for sockets: pytest's folders, and those of some schedulers, are too long.
        self._folder = tempfile.TemporaryDirectory(prefix="gpukit-", dir="/tmp")
        self._home = Path(self._folder.name) / "home"
        self._place, self._clients = Endpoint.of(self._served, self._home), list[subprocess.Popen[str]]()
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        for client in self._clients:
            client.kill()
            client.__exit__(None, None, None)  # waits, and closes its pipe
        if kind is not None and self._place.log.exists():
            print(self._place.log.read_text("utf-8", "replace")[-4000:], file=sys.stderr)
        self._place.kill()
        self._folder.cleanup()

    def figures(self) -> dict[str, Any]:
        """Lets it all happen."""
        held, begun = [self._device.held()], time.perf_counter()
        self._start_clients()
        start, first = time.perf_counter() - begun, self._pid
        held.append(self._device.held())
        with ending(first):
            os.kill(first, signal.SIGKILL)
        held.append(self._device.held())
        told = [self._told(client) for client in self._clients]
        held.append(self._device.held())
        second = self._pid
        with ending(second):
            self._place.kill()
        held.append(self._device.held())
        self._read()
        names = ("before", "served", "killed", "replaced", "after")
        return {
            "start s": start, "away s": max(one["seconds without"] for one in told),
            "processes": len({first, second}), "deaths": sum(one["deaths"] for one in told),
            **{f"GiB {name}": value / GIB for name, value in zip(names, held, strict=True)},
        }  # fmt: skip

    @property
    def _pid(self) -> int:
        return int(self._place.facts()["pid"])

    def _start_clients(self) -> None:
        """Returns when each got its first answer."""
        parts = tuple(
            ScoringRequest(self._request.prefix, self._request.rows[n::CLIENTS], self._request.trie)
            for n in range(CLIENTS)
        )
        asked = Asked(self._served, self._home, os.getpid(), parts)
        (Path(self._folder.name) / "asked").write_bytes(pickle.dumps(asked))
        path = os.pathsep.join(os.path.abspath(part) for part in sys.path if part)
        for number in range(CLIENTS):
            command = [sys.executable, "-m", "benchmarks.gpu.client", self._folder.name, str(number)]
            self._clients.append(
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
                )
            )
        for client in self._clients:
            assert client.stdout is not None
            if client.stdout.readline().strip() != "ready":
                raise RuntimeError(f"a client ended with {client.wait()} before it got an answer")

    def _told(self, client: "subprocess.Popen[str]") -> dict[str, Any]:
        out, _ = client.communicate()
        if client.returncode:
            raise RuntimeError(f"a client ended with {client.returncode}")
        told: dict[str, Any] = json.loads(out)
        return told

    def _read(self) -> None:
        """Puts the clients' rows back into their order."""
        trie = self._request.trie
        for name in ("first", "last"):
            found = np.zeros((len(self._request.rows), len(trie.paths)))
            for number in range(CLIENTS):
                with np.load(Path(self._folder.name) / f"{number}.npz") as scores:
                    found[number::CLIENTS] = np.exp(trie.log_probabilities(scores[name]))
            setattr(self, name, found)


@contextmanager
def ending(pid: int) -> Iterator[None]:
    """Waits, at the end, until this process is gone: then the driver has taken back its memory."""
    process = ClientProcesses(pid)
    yield
    deadline = time.monotonic() + _ENDING_SECONDS
    while process.any_alive():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the process {pid} did not end within {_ENDING_SECONDS:.0f} seconds")
        time.sleep(0.02)
