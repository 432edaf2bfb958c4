"""Requests and plans of passes, made without Spark."""

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType

from sparklabel import classification
from sparklabel.delta.snapshot import TableSnapshot
from sparklabel.labeling.plan import PassPlan
from sparklabel.labeling.request import PassRequest
from sparklabel.table.label_columns import LabelColumns
from sparklabel.table.task_table import TaskTable
from sparklabel.udf import labeler_spec

TASK = classification("verdict", "text", ["fresh", "rotten"], "Judge.")


@pytest.fixture
def request_of():
    """A request for a pass over the table `t` at version 7; `engine` and others of PassRequest may be given."""

    def make(engine="fake", **fields):
        schema = StructType([StructField("id", LongType()), StructField("text", StringType())])
        table = TableSnapshot("t", "`t`", "file:/t", 7, schema, {})
        opened = TaskTable(table, table, ("id",), LabelColumns("verdict", "verdict_label", ()))
        options = {"base_url": "http://localhost:9/v1"} if engine == "openai" else {}
        return PassRequest(labeler_spec(TASK, "m", engine, options), opened, **fields)

    return make


@pytest.fixture
def plan_of(request_of):
    """A plan for ten new rows; fields of PassPlan and PassRequest may be given."""

    def make(states=None, pending_inputs=10, rate=None, **fields):
        own = {name: fields.pop(name) for name in ("unattributed", "implicit_corrections") if name in fields}
        return PassPlan(
            request=request_of(**fields),
            states=states or {"new": 10},
            pending_inputs=pending_inputs,
            pending_characters=400,
            prompt_characters=60,
            inputs_per_second=rate,
            **own,
        )

    return make
