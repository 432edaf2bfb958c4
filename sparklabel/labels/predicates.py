"""SQL predicates over the label record: the only definition of pending and of human-answered.

Text rather than Columns, so that the same predicate works in a Column, in a MERGE and over Spark Connect.
"""

from collections.abc import Mapping, Sequence

from sparklabel.labels.status import ANSWERED, EMPTY_INPUT, RETRYABLE, UNCERTAIN
from sparklabel.sql import sql_list, sql_string


def input_hash_sql(columns: Sequence[str]) -> str:
    """The SQL expression of `input_hash` over columns (given as SQL, already quoted)."""
    parts = (
        f"coalesce(concat(encode(concat('S', octet_length(CAST({c} AS STRING)), ':'), 'utf-8'), "
        f"CAST(CAST({c} AS STRING) AS BINARY)), encode('N', 'utf-8'))"
        for c in columns
    )
    return f"sha2(concat({', '.join(parts)}), 256)"


def human_sql(value: str, label: str) -> str:
    """True where a person answered: said so, or the value is no longer what the record says (a plain UPDATE)."""
    return f"({_is_marked_human(label)} OR NOT ({value} <=> {label}.value))"


def implicit_correction_sql(label: str) -> str:
    """True where no record says that a person answered: of a human answer, a plain UPDATE, or another job's."""
    return f"NOT {_is_marked_human(label)}"


def _is_marked_human(label: str) -> str:
    # Whoever types 'Human' means it; a pass writes it as it is written everywhere.
    return f"(lower(trim({label}.source)) <=> 'human')"


def unattributed_sql(label: str) -> str:
    """True where a human answer's record does not say so yet, or not of which input it is, or that it is one."""
    return (
        f"(NOT ({label}.source <=> 'human') OR {label}.input_hash IS NULL "
        f"OR NOT coalesce({label}.status IN ({sql_list(ANSWERED)}), false))"
    )


def model_value_sql(label: str) -> str:
    """What the model said: the value, or the guess that was withheld."""
    return f"coalesce({label}.value, get({label}.alternatives, 0).value)"


def keeps_older_sql(label: str, answer: str, inputs_hash: str) -> str:
    """True where `answer` is a failure of the engine, and `label` has an answer to the same input: it stays."""
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
    model: str,
    relabel: str,
    min_confidence: float = 0.0,
    retry: Mapping[str, int | None] | None = None,
) -> str:
    """Names the state of each row; `PENDING_STATES` are those that a pass answers.

    `human` and `human_input_changed` rows are never overwritten. `model_changed` rows are told apart from `done`
    under every `relabel`, so that a pass can say how many rows a new model would add, those among them that the old
    one could not answer; they are pending under
    relabel="model" only, and `task_changed` rows are `done` under relabel="none". An answer that was withheld for
    more confidence than `min_confidence` now asks for is tried again, and so is one of this model that was given for
    less. `retry` says of a status how often a row with it is asked at most (None: as often as it takes); those that it
    does not name are asked again where they are RETRYABLE.
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
        f"({label}.status IN ({sql_list(ANSWERED)}) AND {label}.model <=> {sql_string(model)} "
        f"AND {label}.confidence < {min_confidence!r}D) THEN 'retry' "
        f"{task_changed}"
        f"WHEN {label}.status <> {sql_string(EMPTY_INPUT)} AND NOT ({label}.model <=> {sql_string(model)}) "
        "THEN 'model_changed' ELSE 'done' END"
    )


STATES = (
    "new", "input_changed", "retry", "task_changed", "model_changed", "human", "human_input_changed", "done",
)  # fmt: skip


RELABEL = ("none", "task", "model")


def pending_states(relabel: str) -> tuple[str, ...]:
    """The row states that a pass with this `relabel` answers."""
    states = ("new", "input_changed", "retry", "task_changed")
    return (*states, "model_changed") if relabel == "model" else states
