"""The labeler inside Spark: spec.py is what travels, worker.py what a worker does with it, functions.py the columns and
SQL functions."""

from sparklabel.udf.functions import label_udf, register, register_all, udf_of, worker_errors
from sparklabel.udf.spec import LabelerSpec, check_askable, labeler_spec, with_examples
from sparklabel.udf.worker import load_engine, make_labeler, vacate_gpu

__all__ = [
    "LabelerSpec",
    "check_askable",
    "label_udf",
    "labeler_spec",
    "load_engine",
    "make_labeler",
    "register",
    "register_all",
    "udf_of",
    "vacate_gpu",
    "with_examples",
    "worker_errors",
]
