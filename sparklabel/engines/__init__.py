"""Engines: where scores are computed. The protocol is in engine.py, what travels to workers in spec.py; one file an
engine."""

from sparklabel.engines.engine import (
    Engine,
    Generation,
    GenerationRequest,
    Remark,
    RowScores,
    ScoringRequest,
    SharedEngine,
    row_scores,
)
from sparklabel.engines.spec import ENGINES, EngineSpec, engine_spec, names_devices, open_engine

__all__ = [
    "ENGINES",
    "Engine",
    "EngineSpec",
    "Generation",
    "GenerationRequest",
    "Remark",
    "RowScores",
    "ScoringRequest",
    "SharedEngine",
    "engine_spec",
    "names_devices",
    "open_engine",
    "row_scores",
]
