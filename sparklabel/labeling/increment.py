"""Which rows a pass need not read: those in files that were there when a pass left no row pending.

In: a request. Out: the same request, reading only what changed, if an earlier pass by the same rules left nothing to
do. Writes nothing.
"""

from dataclasses import replace
from typing import Any

from pyspark.sql import SparkSession

from sparklabel.delta.changed_files import changed_files
from sparklabel.delta.snapshot import UNVERSIONED
from sparklabel.labeling.outcome import InferenceResult
from sparklabel.labeling.plan import PassPlan
from sparklabel.labeling.request import PassRequest
from sparklabel.table.history import ANSWERS, NEWEST_COMMITS, read_history

_LARGE = 128 * 2**20
"""Bytes of a table from which on looking for its new files takes less time than reading all of it."""
_RULES = ("task", "column", "task_fingerprint", "model", "fallback_below", "min_confidence", "key", "relabel")
"""The facts of a pass that decide which rows have an answer."""


def read_changed(spark: SparkSession, request: PassRequest, large: int = _LARGE) -> PassRequest:
    """The request over the rows of new files alone, where the others need not be read. `large`: the size of a table, in
    bytes, below which all of it is read."""
    table, rules = request.table, _rules(request)
    if rules is None or table.target.version == UNVERSIONED or table.target.bytes < large:
        return request
    since = read_history(spark, table.target, NEWEST_COMMITS).last_done(rules)
    if since is None:
        return request
    columns = (
        *table.keys, *table.input_columns(request.task), table.label_columns.value, table.label_columns.label
    )  # fmt: skip
    found = changed_files(spark, table.source, since, columns)
    return replace(request, table=replace(table, changed=found)) if found else request


def answers_all(plan: PassPlan, answered: InferenceResult) -> bool:
    """Whether a pass that ended so has an answer to every pending row, so that the next one need not look at it."""
    if _rules(plan.request) is None or answered.stop_reason:
        return False
    return plan.inputs == plan.pending_inputs and not answered.stats.failed and not answered.kept_older


def _rules(request: PassRequest) -> dict[str, Any] | None:
    """The facts that another pass must have. None if this one is about a part of the rows, about rows that are not in
    the table with the labels, or tries again what failed for good."""
    table, scope = request.table, request.scope
    if not scope.is_whole or scope.retry or table.has_separate_labels or table.arrived is not None:
        return None
    facts = request.facts(ANSWERS)
    return {name: facts.get(name) for name in _RULES}
