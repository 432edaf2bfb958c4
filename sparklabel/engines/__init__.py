"""Engines: where scores are computed. The protocol and the spec are in engine.py; one file an engine."""

from sparklabel.engines.engine import ENGINES, Engine, EngineSpec, ScoringRequest, engine_spec, open_engine

__all__ = ["ENGINES", "Engine", "EngineSpec", "ScoringRequest", "engine_spec", "open_engine"]
