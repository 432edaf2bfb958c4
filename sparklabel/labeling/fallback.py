"""`fallback_below="auto"`: from which confidence a first model's answers are kept, by people's answers in the table.

In: a pass's request, whose fallback has no threshold yet. Out: the request with one. Both models are asked about
held-out answers, as `evaluate` asks them; nothing is written.
"""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql.types import LongType, StringType, StructField, StructType

from sparklabel.confidence.cascade import MIN_JUDGED, Threshold, lowest_threshold
from sparklabel.delta.session import task_slots
from sparklabel.errors import AnswersError
from sparklabel.labeling.plan import PassPlan, make_plan
from sparklabel.labeling.request import PassRequest
from sparklabel.labels.status import ANSWERED
from sparklabel.progress import tell
from sparklabel.splits import HELD_OUT_SHARE
from sparklabel.sql import quote
from sparklabel.table.human_answers import HumanAnswer, human_answers
from sparklabel.tasks import judged_agreement
from sparklabel.tasks.json_values import plain
from sparklabel.udf import LabelerSpec, prepare, udf_of, worker_errors

_MAX_JUDGED = 1_000
_NUMBER, _LABEL = "_number", "_label"


def settled_plan(spark: SparkSession, plan: PassPlan, stack: ExitStack) -> PassPlan:
    """The plan with the threshold of its fallback, if that is to be found and anything is pending. Raises what
    `with_threshold` raises."""
    fallback = plan.request.spec.fallback
    if fallback is None or fallback.below is not None or not plan.pending:
        return plan
    # Which answers of the first model stand is known only now.
    return make_plan(spark, with_threshold(spark, plan.request), stack)


def with_threshold(spark: SparkSession, request: PassRequest) -> PassRequest:
    """The request with the fallback's threshold, which is told.

    Raises:
        AnswersError: There are too few held-out answers, or no answer of the first model can be kept.
    """
    fallback = request.spec.fallback
    assert fallback, "a request without a fallback"
    found = _threshold(spark, request)
    first, second = request.spec.model.identity, fallback.spec.model.identity
    tell(
        f"answers of {first} with a confidence of {found.below:.3f} or more are kept: {found.share:.0%} of "
        f"{found.judged:,} held-out ones; with {second} for the others {found.accuracy:.1%} are right, and with it "
        f"alone {found.fallback_accuracy:.1%}"
    )
    spec = replace(request.spec, fallback=replace(fallback, below=found.below))
    return replace(request, spec=spec)


def _threshold(spark: SparkSession, request: PassRequest) -> Threshold:
    spec, table = request.spec, request.table
    assert spec.fallback
    has_values = table.label_columns.value in table.target.schema.fieldNames()
    held_out = human_answers(spark, table, spec.task).held_out if has_values else ()
    _check_enough(len(held_out), request)
    judges = random.Random(0).sample(held_out, min(len(held_out), _MAX_JUDGED))
    alone = replace(spec.withholding(0.0), fallback=None)
    sure, right = _judged(spark, request, alone, judges)
    _, fallback_right = _judged(spark, request, spec.fallback.spec, judges)
    asked = ~np.isnan(right) & ~np.isnan(fallback_right)
    _check_enough(int(asked.sum()), request)
    found = lowest_threshold(sure[asked], right[asked], fallback_right[asked])
    if found is None:
        raise AnswersError(
            f"No answer of {spec.model.identity} can be kept: on {asked.sum():,} held-out answers it is "
            f"{right[asked].mean():.1%} right, and not more often where it is surest. "
            f"{spec.fallback.spec.model.identity} is {fallback_right[asked].mean():.1%} right.",
            hint="Label with the fallback alone (model=), or give a number: fallback_below=0.9.",
        )
    return found


def _check_enough(judged: int, request: PassRequest) -> None:
    if judged < MIN_JUDGED:
        missing = MIN_JUDGED - judged
        raise AnswersError(
            f"fallback_below='auto' needs {MIN_JUDGED} held-out human answers, and {request.table.target.name} has "
            f"{judged}.",
            hint=f"Answer about {round(missing / HELD_OUT_SHARE):,} more rows, or give a number: fallback_below=0.8.",
        )


def _judged(
    spark: SparkSession, request: PassRequest, spec: LabelerSpec, judges: Sequence[HumanAnswer]
) -> tuple[np.ndarray, np.ndarray]:
    """For each answer how sure the model is, NaN where it does not know, and how right; NaN where the engine failed."""
    inputs = spec.task.inputs
    schema = StructType(
        [StructField(_NUMBER, LongType()), *(StructField(name, StringType()) for name in inputs)]
    )
    rows = spark.createDataFrame([(number, *one.inputs) for number, one in enumerate(judges)], schema)
    asked = prepare(spec, spark, adopt_examples=request.adopt_examples).spec
    labels = rows.repartition(task_slots(spark)).withColumn(_LABEL, udf_of(asked)(*map(quote, inputs)))
    with worker_errors():
        answered = labels.select(
            _NUMBER, f"{_LABEL}.value", f"{_LABEL}.confidence", f"{_LABEL}.status"
        ).collect()
    sure, right = np.full(len(judges), np.nan), np.full(len(judges), np.nan)
    for row in answered:
        number, value, status = row[_NUMBER], plain(row["value"]), row["status"]
        agreement = judged_agreement(spec.task.answer_mode, judges[number].answer, value, status)
        right[number] = np.nan if agreement is None else agreement
        if status in ANSWERED and row["confidence"] is not None:
            sure[number] = row["confidence"]
    return sure, right
