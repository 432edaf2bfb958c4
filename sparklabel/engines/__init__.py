"""Engines: where scores are computed. `Engine` is the protocol, `EngineSpec` what travels to workers."""

from sparklabel.engines.base import (
    Completion,
    Engine,
    GenerationRequest,
    RowScores,
    RowStatus,
    ScoringRequest,
    SharedEngine,
    row_scores,
)
from sparklabel.engines.registry import ENGINES, EngineSpec, engine_spec, names_devices, open_engine

__all__ = [
    "ENGINES",
    "Completion",
    "Engine",
    "EngineSpec",
    "GenerationRequest",
    "RowScores",
    "RowStatus",
    "ScoringRequest",
    "SharedEngine",
    "engine_spec",
    "names_devices",
    "open_engine",
    "row_scores",
]
