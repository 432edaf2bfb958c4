"""A vLLM that takes requests from many threads and runs in one.

In: prompts as token ids with sampling parameters. Out: to each call the outputs of its own requests. The requests of
all calls are in vLLM's scheduler together, so that its batches stay full while some calls end and others begin. The
thread that runs vLLM also loads the model, because torch's settings of cores and device belong to a thread.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import TYPE_CHECKING, Any
from weakref import finalize

from sparklabel.engines.vllm.loading import uncompiled
from sparklabel.errors import EngineDied, EngineError
from sparklabel.label_trie import TokenPath
from sparklabel.language_model.memory_limits import is_out_of_memory
from sparklabel.redaction import first_line

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams
    from vllm.lora.request import LoRARequest

_IN_FLIGHT = 4096
"""Requests of one call that vLLM has at once. It keeps some kilobytes of Python objects for each."""


@dataclass(slots=True, eq=False)
class _Call:
    """What one call waits for. `ready`: outputs since it last looked. `refused`: why a request was not accepted."""

    running: int = 0
    refused: EngineError | None = None
    ready: "deque[tuple[int, RequestOutput]]" = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Request:
    call: _Call
    position: int
    prompt: TokenPath
    params: "SamplingParams"
    adapter: "LoRARequest | None"


class VllmLoop:
    """Loads vLLM with `load` in a thread of its own, and raises what that raises. When this object goes, the thread
    ends, and vLLM with it. A vLLM that failed is dead: its state cannot be trusted."""

    def __init__(self, load: "Callable[[], LLM]") -> None:
        self._state = _State()
        loaded = threading.Event()
        self._thread = threading.Thread(
            target=_serve, args=(self._state, load, loaded), name="vllm", daemon=True
        )
        self._thread.start()
        loaded.wait()
        if self._state.error is not None:
            raise self._state.error
        self.model_config: Any = self._state.model_config
        self.max_lora_rank = self._state.max_lora_rank
        self.close = finalize(self, self._state.stop)

    def join(self) -> None:
        """Waits until the thread, and vLLM with it, has ended."""
        self._thread.join()

    def run(
        self,
        requests: "Iterable[tuple[TokenPath, SamplingParams]]",
        adapter: "LoRARequest | None" = None,
    ) -> "Iterator[tuple[int, RequestOutput]]":
        """Each request's number and output, in the order of completion. Raises EngineDied."""
        call = _Call()
        numbered = (_Request(call, n, *request, adapter) for n, request in enumerate(requests))
        try:
            while self._put(call, numbered):
                yield from self._state.take(call)
        finally:
            self._state.forget(call)

    def _put(self, call: _Call, requests: Iterator[_Request]) -> bool:
        """Tops up the call's requests in flight. Returns whether there is anything to wait for."""
        some = list(islice(requests, _IN_FLIGHT - call.running))
        call.running += len(some)
        self._state.put(some)
        return call.running > 0


class _State:
    """What the thread and its callers share. The thread refers to this and not to the loop, which may go while it
    runs."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._new: list[_Request] = []
        self._left: set[_Call] = set()
        self.stopped = False
        self.error: BaseException | None = None
        self.model_config: Any = None
        self.max_lora_rank = 0

    def put(self, requests: list[_Request]) -> None:
        with self._changed:
            if self.error is not None:  # later callers get EngineDied, whatever the error was
                raise EngineDied(f"vLLM has ended: {first_line(self.error)}") from self.error
            self._new += requests
            self._changed.notify_all()

    def take(self, call: _Call) -> "list[tuple[int, RequestOutput]]":
        """At least one output."""
        with self._changed:
            self._changed.wait_for(lambda: call.ready or call.refused or self.error or self.stopped)
            if call.refused is not None:
                raise call.refused
            if self.error is not None and not call.ready:
                raise died(self.error)
            if self.stopped and not call.ready:
                raise EngineDied("vLLM was closed.")
            done = list(call.ready)
            call.ready.clear()
            call.running -= len(done)
            return done

    def forget(self, call: _Call) -> None:
        """The call's requests need no longer be computed."""
        if call.running:
            with self._changed:
                self._left.add(call)
                self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def refuse(self, call: _Call, error: Exception) -> None:
        """Fails one call whose request vLLM did not accept. The others continue."""
        with self._changed:
            call.refused = EngineError(f"vLLM refused a request: {first_line(error)}")
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        with self._changed:
            # The traceback's frames hold vLLM, whose memory the next one needs.
            self.error = error.with_traceback(None)
            self._changed.notify_all()

    def wait(self, idle: bool) -> tuple[list[_Request], set[_Call]]:
        """New requests, and calls that were abandoned. Waits for either if the engine is `idle`."""
        with self._changed:
            if idle:
                self._changed.wait_for(lambda: self._new or self._left or self.stopped)
            new, self._new = self._new, []
            left, self._left = self._left, set()
            return new, left

    def hand_out(self, outputs: "list[tuple[_Request, RequestOutput]]") -> None:
        if outputs:
            with self._changed:
                for request, output in outputs:
                    request.call.ready.append((request.position, output))
                self._changed.notify_all()


def _serve(state: _State, load: "Callable[[], LLM]", loaded: threading.Event) -> None:
    """The thread's work, until the loop goes or vLLM dies."""
    try:
        llm = load()
        state.model_config = llm.model_config
        lora = llm.llm_engine.vllm_config.lora_config
        state.max_lora_rank = lora.max_lora_rank if lora else 0
    except BaseException as error:  # noqa: BLE001 raised where the loop is made
        state.error = error
        return
    finally:
        loaded.set()
    try:
        with uncompiled():
            _step_on(state, llm.llm_engine)
    except BaseException as error:  # noqa: BLE001 raised in every call
        state.fail(error)


def _step_on(state: _State, engine: Any) -> None:
    from vllm.exceptions import VLLMClientError

    running: dict[str, _Request] = {}
    numbers = count()
    while True:
        new, left = state.wait(idle=not running)
        if state.stopped:
            return
        for request in new:
            name, prompt = str(next(numbers)), {"prompt_token_ids": list(request.prompt)}
            try:
                engine.add_request(name, prompt, request.params, lora_request=request.adapter)
            except (ValueError, VLLMClientError) as error:
                state.refuse(request.call, error)
            else:
                running[name] = request
        if gone := [name for name, request in running.items() if request.call in left]:
            engine.abort_request(gone)
            for name in gone:
                del running[name]
        done = [output for output in engine.step() if output.finished] if running else []
        state.hand_out([(running.pop(output.request_id), output) for output in done])


def died(error: BaseException) -> BaseException:
    """The error that waiting calls raise. Out of memory and a failed device are the engine's death; anything else is a
    bug and stays as it is."""
    import torch
    from vllm.v1.engine.exceptions import EngineDeadError

    if is_out_of_memory(error) or isinstance(error, torch.AcceleratorError | EngineDeadError):
        return EngineDied(f"vLLM died: {first_line(error)}")
    return error
