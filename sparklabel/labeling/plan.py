"""The plan of a pass: the state of every row of the pinned version, and the distinct inputs to be answered.

In: a target, the task's columns, the model's identity. Out: DataFrames and counts. Reads only.
"""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparklabel.delta.commits import WRITE_ERRORS
from sparklabel.labels.predicates import STATES, pending_states
from sparklabel.models.manifest import AdapterManifest
from sparklabel.sql import quote
from sparklabel.table.label_columns import LabelColumns
from sparklabel.table.row_states import HASH, STATE, _silent, unattributed
from sparklabel.tasks import Task

_CHARS_PER_TOKEN, _CHAT_CHARACTERS = 4, 80


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass would do. `states` counts rows by state. `unattributed` counts human answers whose record is not
    complete, `implicit_corrections` those among them that are plain UPDATEs: no record says that a person answered.
    Characters are those of the distinct pending inputs, and of the prompt around each."""

    task: Task
    label_columns: LabelColumns
    relabel: str
    states: Mapping[str, int]
    unattributed: int
    implicit_corrections: int
    pending_inputs: int
    pending_characters: int
    prompt_characters: int

    @property
    def pending(self) -> int:
        return sum(self.states.get(state, 0) for state in pending_states(self.relabel))

    @property
    def prompt_tokens(self) -> int:
        """An estimate, at four characters a token: the inputs, and the prompt once for each."""
        return (self.pending_characters + self.pending_inputs * self.prompt_characters) // _CHARS_PER_TOKEN


def prompt_characters(task: Task, manifest: AdapterManifest | None, input_characters: int = 0) -> int:
    """About how long a prompt is beside its inputs: the template that a model was fine-tuned with, or zero-shot.
    Examples that come from a table are taken to be as long as a row's inputs, `input_characters`."""
    if manifest:
        return sum(len(piece.text) for piece in manifest.template.pieces if piece.kind != "input")
    examples = sum(len(t) for e in task.examples for t in (*e.inputs, task.verbalize(e.answer)))
    examples += task.examples_from.count * input_characters if task.examples_from else 0
    return len(task.question()) + examples + _CHAT_CHARACTERS


def make_plan(
    states: DataFrame,
    label_columns: LabelColumns,
    task: Task,
    relabel: str,
    manifest: AdapterManifest | None = None,
) -> Plan:
    """Counts, in one scan. `manifest` is what the model carries."""
    pending = F.col(STATE).isin(*pending_states(relabel))
    characters = sum(
        (F.coalesce(F.length(F.col(quote(c)).cast("string")), F.lit(0)) for c in task.inputs), F.lit(0)
    )
    # A group for each pending input, and one for all other rows.
    inputs = states.groupBy(F.when(pending, F.col(HASH)).alias(HASH)).agg(
        *(F.count_if(F.col(STATE) == state).alias(state) for state in STATES),
        F.count_if(unattributed(label_columns)).alias("unattributed"),
        F.count_if(_silent(label_columns)).alias("silent"),
        F.any_value(characters).alias("characters"),
    )  # fmt: skip
    (row,) = inputs.agg(
        *(F.sum(name).alias(name) for name in (*STATES, "unattributed", "silent")), F.count(HASH).alias("inputs"),
        F.sum(F.when(F.col(HASH).isNotNull(), F.col("characters"))).alias("characters"),
    ).collect()  # fmt: skip
    return Plan(
        task=task,
        label_columns=label_columns,
        relabel=relabel,
        states={state: row[state] for state in STATES if row[state]},
        unattributed=row["unattributed"] or 0,
        implicit_corrections=row["silent"] or 0,
        pending_inputs=row["inputs"],
        pending_characters=row["characters"] or 0,
        prompt_characters=prompt_characters(
            task, manifest, (row["characters"] or 0) // max(1, row["inputs"])
        ),
    )


def kept(rows: DataFrame, stack: ExitStack) -> DataFrame:
    """The same rows, which Spark computes once and keeps until the stack is unwound."""

    def forget() -> None:
        with suppress(*WRITE_ERRORS):  # the session may be what died
            rows.unpersist()

    stack.callback(forget)
    return rows.persist()
