"""The keyword arguments of `label_table` and of the engines, for type checkers and editors.

In: nothing. Out: typed dictionaries, which `Unpack` turns into visible keyword arguments. A test keeps them equal to
the signature of `label_table` and to the options of the engines.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from sparklabel.engines import EngineOptions


class EngineArguments(TypedDict, total=False):
    """Options of all engines. Each engine takes its own, and refuses the others by name."""

    shared: bool
    dtype: str
    device: str
    batch_tokens: int
    pruned_mass: float
    threads: int
    max_model_len: int
    gpu_memory_utilization: float
    kv_cache_gib: int
    max_lora_rank: int
    engine_kwargs: str
    base_url: str
    api_key_env: str
    concurrency: int
    timeout: float
    max_retries: int
    context: int
    structured: str
    extra_body: str
    fail_on: str
    die_on: str


class PassArguments(EngineArguments, total=False):
    """What a pass takes beside the table, the task, and how its rows and columns are named."""

    model: str | Mapping[str, str]
    engine: str | EngineOptions
    fallback: str | None
    fallback_below: float | str
    fallback_engine: str | EngineOptions | None
    where: str | None
    shard: tuple[int, int] | None
    relabel: str
    adopt: bool
    adopt_examples: bool
    min_confidence: float
    max_rows: int | None
    max_seconds: float | None
    max_error_ratio: float
    max_new_corrections: int | None
    on_drift: str
    cost_per_hour: float | None
    cost_per_million_tokens: float | None
    retry: Mapping[str, int | None] | None
    staging: str | None
    cache: bool | str
    deletion_vectors: bool
    allow_unsafe_store: bool
    experiment: str
    progress: bool


class LabelArguments(PassArguments, total=False):
    """What `label_table` takes by keyword."""

    key: str | Sequence[str] | None
    column: str | None
    into: str | None
    dry_run: bool
    features: bool
