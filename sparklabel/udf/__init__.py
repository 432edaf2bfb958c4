"""The labeler inside Spark.

A `LabelerSpec` is what travels to the workers, `prepare` checks it on the driver, `label_batches` answers in a worker,
and `label_udf` and `register` make columns and SQL functions of it.
"""

from sparklabel.udf.functions import label_udf, register, register_all, udf_of
from sparklabel.udf.loading import load_engine, make_labeler, vacate_gpu
from sparklabel.udf.prepare import PreparedLabeler, prepare
from sparklabel.udf.spec import (
    LabelerSpec,
    check_threshold,
    engine_of,
    labeler_spec,
    with_fallback,
    zero_shot_of,
)
from sparklabel.udf.states import HiddenStatesSpec, hidden_states_of
from sparklabel.udf.worker_errors import worker_errors

__all__ = [
    "HiddenStatesSpec",
    "LabelerSpec",
    "PreparedLabeler",
    "check_threshold",
    "engine_of",
    "hidden_states_of",
    "label_udf",
    "labeler_spec",
    "load_engine",
    "make_labeler",
    "prepare",
    "register",
    "register_all",
    "udf_of",
    "vacate_gpu",
    "with_fallback",
    "worker_errors",
    "zero_shot_of",
]
