"""The plan of a pass: the state of every row of the pinned version, and the distinct inputs to be answered.

In: a target, the task's columns, the model's identity. Out: DataFrames and counts. Reads only.
"""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparklabel.delta.commits import refusals
from sparklabel.labels.predicates import STATES, pending_states
from sparklabel.models.manifest import ModelCard
from sparklabel.sql import quote
from sparklabel.table.label_columns import Owned
from sparklabel.table.row_states import HASH, STATE, _silent, unstamped
from sparklabel.tasks import Task

_CHARS_PER_TOKEN, _CHAT_CHARACTERS = 4, 80


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass would do. `states` counts rows by state; `unstamped` human answers have a record that is not
    complete, `silent` ones among them do not say that a person gave them; characters are those of the distinct pending
    inputs, and of the prompt around each."""

    task: Task
    owned: Owned
    relabel: str
    states: Mapping[str, int]
    unstamped: int
    silent: int
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


def prompt_characters(task: Task, card: ModelCard | None, input_characters: int = 0) -> int:
    """About how long a prompt is beside its inputs: the template that a model was fine-tuned with, or zero-shot.
    Examples that come from a table are taken to be as long as a row's inputs, `input_characters`."""
    if card:
        return sum(len(piece.text) for piece in card.template.pieces if piece.kind != "input")
    examples = sum(len(t) for e in task.examples for t in (*e.inputs, task.spoken(e.answer)))
    examples += task.examples_from.count * input_characters if task.examples_from else 0
    return len(task.question()) + examples + _CHAT_CHARACTERS


def make_plan(
    states: DataFrame, owned: Owned, task: Task, relabel: str, card: ModelCard | None = None
) -> Plan:
    """Counts, in one scan. `card` is what the model carries."""
    pending = F.col(STATE).isin(*pending_states(relabel))
    characters = sum(
        (F.coalesce(F.length(F.col(quote(c)).cast("string")), F.lit(0)) for c in task.inputs), F.lit(0)
    )
    # A group for each pending input, and one for all other rows.
    inputs = states.groupBy(F.when(pending, F.col(HASH)).alias(HASH)).agg(
        *(F.count_if(F.col(STATE) == state).alias(state) for state in STATES),
        F.count_if(unstamped(owned)).alias("unstamped"), F.count_if(_silent(owned)).alias("silent"),
        F.any_value(characters).alias("characters"),
    )  # fmt: skip
    (row,) = inputs.agg(
        *(F.sum(name).alias(name) for name in (*STATES, "unstamped", "silent")), F.count(HASH).alias("inputs"),
        F.sum(F.when(F.col(HASH).isNotNull(), F.col("characters"))).alias("characters"),
    ).collect()  # fmt: skip
    return Plan(
        task=task,
        owned=owned,
        relabel=relabel,
        states={state: row[state] for state in STATES if row[state]},
        unstamped=row["unstamped"] or 0,
        silent=row["silent"] or 0,
        pending_inputs=row["inputs"],
        pending_characters=row["characters"] or 0,
        prompt_characters=prompt_characters(task, card, (row["characters"] or 0) // max(1, row["inputs"])),
    )


def kept(rows: DataFrame, stack: ExitStack) -> DataFrame:
    """The same rows, which Spark computes once and keeps until the stack is unwound."""

    def forget() -> None:
        with suppress(*refusals()):  # the session may be what died
            rows.unpersist()

    stack.callback(forget)
    return rows.persist()
