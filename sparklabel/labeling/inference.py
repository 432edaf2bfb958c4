"""The answers of a pass, computed chunk by chunk and staged.

In: the distinct inputs that have no answer yet. Out: a staging table with their answers, and what it took. Nothing is
merged here.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from pyspark.sql import DataFrame, SparkSession

from sparklabel.delta.commits import conflicts_met
from sparklabel.delta.session import task_slots
from sparklabel.labeling.chunks import Chunks, PassStats
from sparklabel.labeling.interrupts import FirstInterrupt, TaggedJobs
from sparklabel.labeling.options import INTERRUPTED
from sparklabel.labeling.state.pending_inputs import (
    BUCKETS,
    in_buckets,
    open_pending_inputs,
    remove_pending_inputs,
    write_pending_inputs,
)
from sparklabel.labeling.state.staging import Staging
from sparklabel.progress import WorkProgress, tell
from sparklabel.sql import quote
from sparklabel.table.row_states import ANSWER, HASH
from sparklabel.tasks import Task
from sparklabel.udf import LabelerSpec, udf_of, worker_errors

AfterChunk = Callable[[PassStats], str]
"""Called when a chunk is staged; what it returns is the reason to stop, "" to go on."""


def answer_inputs(
    spark: SparkSession,
    spec: LabelerSpec,
    staging: Staging,
    inputs: DataFrame,
    number: int,
    bar: WorkProgress,
    at_end: ExitStack,
    after_chunk: AfterChunk = lambda stats: "",
) -> PassStats:
    """Stages the answers to `inputs`, about `number` rows of HASH and texts. Ctrl-C ends it after the chunk at hand,
    and pressed again at once: what is staged is kept. What is left to be removed is so `at_end`."""
    label, stats = udf_of(spec), PassStats()
    chunks = Chunks(task_slots(spark), number)
    with FirstInterrupt(tell) as interrupt, TaggedJobs(spark, f"sparklabel-{staging.pass_id}") as jobs:
        try:
            for texts in _parts(spark, spec.task, staging, inputs, chunks, bar, at_end):
                started = time.monotonic()
                answers = label(*map(quote, spec.task.inputs)).alias(ANSWER)
                staged = texts.repartition(chunks.slots).select(HASH, answers)
                with worker_errors():
                    stats.add(staging.append(staged, stats.chunks + 1))
                chunks.took(stats.last, time.monotonic() - started)
                conflicts = f", {met:,} conflicts" if (met := conflicts_met()) else ""
                bar.advance(stats.last, stats.note + conflicts)
                stats.stopped = after_chunk(stats) or (INTERRUPTED if interrupt.heard else "")
                if stats.stopped:
                    break
        except KeyboardInterrupt:
            jobs.stop()
            stats.stopped = INTERRUPTED
    return stats


def _parts(
    spark: SparkSession,
    task: Task,
    staging: Staging,
    inputs: DataFrame,
    chunks: Chunks,
    bar: WorkProgress,
    at_end: ExitStack,
) -> Iterator[DataFrame]:
    """The inputs of each chunk. Where more than two are to be expected, they come from a table, written once: to find
    them in the labelled one takes a scan of it."""
    pending_inputs = None
    for start, end in chunks:
        if start and end < BUCKETS and pending_inputs is None:
            open_pending_inputs(spark, staging)
            at_end.callback(remove_pending_inputs, spark, staging)
            pending_inputs = write_pending_inputs(
                spark, staging, task, in_buckets(inputs, staging, (start, BUCKETS))
            )
            chunks.resize(pending_inputs.total)
            bar.resize(chunks.inputs)
        if pending_inputs:
            chunks.slots = task_slots(spark)  # executors come and go
        yield (
            pending_inputs.inputs(spark, (start, end))
            if pending_inputs
            else in_buckets(inputs, staging, (start, end))
        )
