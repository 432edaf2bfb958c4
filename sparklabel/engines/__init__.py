"""Engines: where scores are computed and texts are written. `Engine` is the protocol, `EngineSpec` what travels."""

from sparklabel.engines.base import (
    Completion,
    Engine,
    GenerationRequest,
    HiddenStatesRequest,
    ReadableEngine,
    RowScores,
    RowStatus,
    ScoringRequest,
    SharedEngine,
    row_scores,
)
from sparklabel.engines.options import (
    EngineOptions,
    FakeOptions,
    OpenAIOptions,
    TransformersOptions,
    VllmOptions,
    names_devices,
)
from sparklabel.engines.registry import ENGINES, EngineSpec, engine_spec, open_engine, option_names

__all__ = [
    "ENGINES",
    "Completion",
    "Engine",
    "EngineOptions",
    "EngineSpec",
    "FakeOptions",
    "GenerationRequest",
    "HiddenStatesRequest",
    "OpenAIOptions",
    "ReadableEngine",
    "RowScores",
    "RowStatus",
    "ScoringRequest",
    "SharedEngine",
    "TransformersOptions",
    "VllmOptions",
    "engine_spec",
    "names_devices",
    "open_engine",
    "option_names",
    "row_scores",
]
