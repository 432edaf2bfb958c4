"""SQL predicates over the label record: the only definition of which rows are pending, and which a person answered.

In: the names of columns, as SQL. Out: SQL text rather than Columns, so that one predicate works in a Column, in a MERGE
and over Spark Connect.
"""

from collections.abc import Collection, Mapping, Sequence

from sparklabel.labels.status import ANSWERED, EMPTY_INPUT, RETRYABLE, UNCERTAIN
from sparklabel.sql import sql_list, sql_string


def input_hash_sql(columns: Sequence[str]) -> str:
    """The SQL expression of `input_hash` over columns, which are given as quoted SQL."""
    parts = (
        f"coalesce(concat(encode(concat('S', octet_length(CAST({c} AS STRING)), ':'), 'utf-8'), "
        f"CAST(CAST({c} AS STRING) AS BINARY)), encode('N', 'utf-8'))"
        for c in columns
    )
    return f"sha2(concat({', '.join(parts)}), 256)"


def random_order_sql(input_hash: str) -> str:
    """By this inputs are in a random order, which is the same everywhere, and in which nothing about a label enters."""
    return f"sha2(concat('sparklabel review v1:', {input_hash}), 256)"


def human_sql(value: str, label: str) -> str:
    """True if a person answered: the record says so, or the value differs from the record's (a plain UPDATE)."""
    return f"({_is_marked_human(label)} OR NOT ({value} <=> {label}.value))"


def implicit_correction_sql(label: str) -> str:
    """True if the record does not say that a person answered. A human answer of this sort comes from a plain UPDATE, by
    a person or by another job."""
    return f"NOT {_is_marked_human(label)}"


def _is_marked_human(label: str) -> str:
    # People may type 'Human'; a pass normalizes it.
    return f"(lower(trim({label}.source)) <=> 'human')"


def unattributed_sql(label: str) -> str:
    """True if a human answer's record is incomplete: its source, its input hash or its status is still to be
    written."""
    return (
        f"(NOT ({label}.source <=> 'human') OR {label}.input_hash IS NULL "
        f"OR NOT coalesce({label}.status IN ({sql_list(ANSWERED)}), false))"
    )


def model_value_sql(label: str) -> str:
    """The model's answer: the value, or the best guess if it was withheld."""
    return f"coalesce({label}.value, get({label}.alternatives, 0).value)"


def keeps_older_sql(label: str, answer: str, inputs_hash: str) -> str:
    """True if `answer` is a failure of the engine and `label` already answers the same input: that label is kept."""
    return (
        f"coalesce({answer}.status IN ({sql_list(RETRYABLE)}) AND {label}.status IN ({sql_list(ANSWERED)}) "
        f"AND {label}.input_hash = {inputs_hash}, false)"
    )


def row_state_sql(
    *,
    value: str,
    label: str,
    inputs_hash: str,
    fingerprint: str,
    models: Mapping[str, float],
    relabel: str,
    min_confidence: float = 0.0,
    retry: Mapping[str, int | None] | None = None,
) -> str:
    """The state of each row, one of `STATES`. A pass answers the rows in `pending_states(relabel)`.

    `human` and `human_input_changed` rows are never overwritten. `model_changed` rows are distinguished from `done`
    ones under every `relabel`, so that a pass can say how many rows a new model would add (including rows that the old
    model could not answer); they are pending only with relabel="model". `task_changed` rows are `done` with
    relabel="none".

    Args:
        value: The value column, as SQL.
        label: The label column, as SQL.
        inputs_hash: The hash of the row's inputs, as SQL (see `input_hash_sql`).
        fingerprint: The fingerprint of the task as it is now.
        models: The identities of the models that this pass asks, each with the confidence from which its answer stands:
            below it, the next one is asked. 0 also lets failures stand.
        relabel: One of `RELABEL`.
        min_confidence: The threshold of this pass. Answers that an earlier pass withheld above it are retried, and so
            are these models' answers below it.
        retry: The most attempts for rows with a status (None: no limit). Statuses that it does not name are retried
            without a limit if they are RETRYABLE, and otherwise not at all.
    """
    again = dict.fromkeys(RETRYABLE) | dict(retry or {})
    failed = " OR ".join(
        f"({label}.status = {sql_string(status)}"
        + ("" if most is None else f" AND coalesce({label}.attempts, 0) < {most:d}")
        + ")"
        for status, most in again.items()
    )
    task_changed = (
        "" if relabel == "none"
        else f"WHEN NOT ({label}.task_fingerprint <=> {sql_string(fingerprint)}) THEN 'task_changed' "
    )  # fmt: skip
    return (
        f"CASE WHEN {human_sql(value, label)} THEN "
        f"if({label}.input_hash IS NULL OR {label}.input_hash = {inputs_hash}, 'human', 'human_input_changed') "
        f"WHEN {label}.status IS NULL THEN 'new' "
        f"WHEN NOT ({label}.input_hash <=> {inputs_hash}) THEN 'input_changed' "
        f"WHEN {failed} OR "
        f"({label}.status = '{UNCERTAIN}' AND {label}.confidence >= {min_confidence!r}D) OR "
        f"({label}.status IN ({sql_list(ANSWERED)}) AND ({_is_by(label, models)}) "
        f"AND {label}.confidence < {min_confidence!r}D) THEN 'retry' "
        f"{task_changed}"
        f"WHEN {label}.status <> {sql_string(EMPTY_INPUT)} AND NOT ({_stands(label, models)}) "
        "THEN 'model_changed' ELSE 'done' END"
    )


def _is_by(label: str, models: Collection[str]) -> str:
    return f"coalesce({label}.model IN ({sql_list(list(models))}), false)" if models else "false"


def _stands(label: str, models: Mapping[str, float]) -> str:
    """True for an answer of one of the models after which no other one is asked."""
    stand = [
        f"({_is_by(label, [model])} AND coalesce({label}.confidence >= {least!r}D, false))"
        if least
        else _is_by(label, [model])
        for model, least in models.items()
    ]
    return " OR ".join(stand) or "false"


STATES = (
    "new", "input_changed", "retry", "task_changed", "model_changed", "human", "human_input_changed", "done",
)  # fmt: skip


RELABEL = ("none", "task", "model")


def pending_states(relabel: str) -> tuple[str, ...]:
    """The states of rows that a pass with this `relabel` answers."""
    states = ("new", "input_changed", "retry", "task_changed")
    return (*states, "model_changed") if relabel == "model" else states
