"""The predicates over the label record, on rows written out: what counts as human, as pending, as an older answer."""

from itertools import product

import pytest

from sparklabel.labels.predicates import (
    STATES,
    human_sql,
    implicit_correction_sql,
    input_hash_sql,
    keeps_older_sql,
    model_value_sql,
    row_state_sql,
    unattributed_sql,
)
from sparklabel.labels.record import input_hash

CELLS = {
    "NULL": None, "''": b"", "'a'": b"a", "'S1:'": b"S1:", "'N'": b"N", "12": b"12", "1.50BD": b"1.50",
    "true": b"true", "DATE'2026-01-02'": b"2026-01-02", "'früh 👩‍👩‍👧'": "früh 👩‍👩‍👧".encode(),
    "CAST(X'FF20FE' AS STRING)": b"\xff \xfe",
}  # fmt: skip
"""Cells as SQL writes them, and the bytes of their text."""


def test_the_hash_in_sql_is_the_hash_in_python(spark):
    rows = [[cell] for cell in CELLS] + [list(pair) for pair in product(CELLS, repeat=2)]
    found = spark.sql(f"SELECT {', '.join(map(input_hash_sql, rows))}").first()
    assert list(found) == [input_hash([CELLS[cell] for cell in row]) for row in rows]


@pytest.fixture(scope="module")
def people(record):
    """Rows that a person answered, and rows that a model answered or nobody did."""
    human = {
        "confirmed": ("fresh", record(source="human")),
        "confirmed, typed otherwise": ("fresh", record(source=" Human ")),
        "corrected": ("rotten", record()),
        "corrected to NULL": (None, record()),
        "answered where the model could not": ("fresh", record(value=None, status="too_long")),
        "answered before any pass": ("fresh", None),
        "said to have no answer": (None, record(value=None, source="human")),
    }
    other = {
        "answered by the model": ("fresh", record()),
        "without an answer": (None, record(value=None, status="too_long")),
        "from an unknown source": ("fresh", record(source=None)),
        "never answered": (None, None),
    }
    return human, other


def test_a_row_is_human_if_it_says_so_or_its_value_is_not_the_records(says, people):
    human, other = people
    found = says(human_sql("value", "label"), human | other)
    assert found == dict.fromkeys(human, True) | dict.fromkeys(other, False)


def test_a_correction_is_implicit_unless_the_record_says_that_a_person_made_it(says, people):
    human, other = people
    said = {"confirmed", "confirmed, typed otherwise", "said to have no answer"}
    found = says(implicit_correction_sql("label"), human | other)
    assert found == {case: case not in said for case in found}


def test_a_human_answer_is_attributed_once_its_record_has_source_input_and_status(says, record):
    rows = {
        "whole": ("fresh", record(source="human")),
        "whole, of a truncated input": ("fresh", record(source="human", status="truncated")),
        "typed otherwise": ("fresh", record(source="Human")),
        "without a source": ("fresh", record(source=None)),
        "the model's": ("fresh", record()),
        "without an input": ("fresh", record(source="human", input_hash=None)),
        "without a status": ("fresh", record(source="human", status=None)),
        "a guess that was withheld": ("fresh", record(source="human", status="uncertain")),
        "without a record": ("fresh", None),
    }
    whole = {"whole", "whole, of a truncated input"}
    assert says(unattributed_sql("label"), rows) == {case: case not in whole for case in rows}


def test_what_the_model_said_is_its_value_or_the_guess_that_was_withheld(says, record):
    guesses = [("rotten", 0.6), ("fresh", 0.4)]
    rows = {
        "an answer": (None, record(alternatives=guesses)),
        "a withheld answer": (None, record(value=None, alternatives=guesses)),
        "no guess": (None, record(value=None, alternatives=[])),
        "no alternatives": (None, record(value=None)),
        "no record": (None, None),
    }
    assert says(model_value_sql("label"), rows) == {
        "an answer": "fresh", "a withheld answer": "rotten", "no guess": None, "no alternatives": None,
        "no record": None,
    }  # fmt: skip


STATUSES = (
    "ok", "truncated", "empty_input", "too_long", "invalid_output", "engine_error", "timeout", "uncertain", None,
)  # fmt: skip


def test_only_an_answer_to_the_same_input_is_kept_and_only_from_a_failure_of_the_engine(spark):
    statuses, hashes = (", ".join(f"({'NULL' if one is None else repr(one)})" for one in listed)
                        for listed in (STATUSES, ("h", "other", None)))  # fmt: skip
    keeps = keeps_older_sql("label", "answer", "'h'")
    rows = spark.sql(
        f"SELECT answer.status AS new, label.status AS old, label.input_hash AS hash, {keeps} AS keeps FROM "
        "(SELECT named_struct('status', a) AS answer, named_struct('status', l, 'input_hash', h) AS label "
        f"FROM VALUES {statuses} AS a(a), VALUES {statuses} AS l(l), VALUES {hashes} AS h(h))"
    ).collect()
    assert len(rows) == 9 * 9 * 3
    assert {row.keeps for row in rows} == {True, False}, "never NULL: a guard is its negation"
    assert {(row.new, row.old, row.hash) for row in rows if row.keeps} == {
        ("engine_error", "ok", "h"), ("engine_error", "truncated", "h"),
        ("timeout", "ok", "h"), ("timeout", "truncated", "h"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def states(says):
    """The state of each row, for an answer by the model `m` to the input `h` under the task `f`."""
    asked = {"fingerprint": "f", "models": {"m": 0.0}, "relabel": "task"}

    def evaluate(rows, **options):
        sql = row_state_sql(value="value", label="label", inputs_hash="'h'", **asked | options)
        return says(sql, rows)

    return evaluate


def failed(record, status, **changed):
    """A row whose input got no answer."""
    return None, record(value=None, status=status, **changed)


def test_for_a_pass_that_asks_no_model_every_answer_is_another_models(states, record):
    assert states({"answered": ("fresh", record())}, models={}) == {"answered": "model_changed"}


def test_a_row_has_the_first_state_that_is_true_of_it(states, record):
    cases = {
        # people's answers, before all else
        "corrected": ("rotten", record(), "human"),
        "confirmed": ("fresh", record(source="human"), "human"),
        "confirmed, without an input": ("fresh", record(source="human", input_hash=None), "human"),
        "confirmed, without a status": ("fresh", record(source="human", status=None), "human"),
        "answered before any pass": ("fresh", None, "human"),
        "corrected, then its input changed": ("rotten", record(input_hash="x"), "human_input_changed"),
        "confirmed, then its input changed": (
            "fresh", record(source="human", input_hash="x"), "human_input_changed",
        ),
        # never asked
        "never labeled": (None, None, "new"),
        "a record without a status": (None, record(value=None, status=None, input_hash="x"), "new"),
        # another input, whatever came of the old one
        "a changed input": ("fresh", record(input_hash="x"), "input_changed"),
        "an unknown input": ("fresh", record(input_hash=None), "input_changed"),
        "a failure on another input": (*failed(record, "timeout", input_hash="x"), "input_changed"),
        "another task's answer to another input": (
            "fresh", record(input_hash="x", task_fingerprint="x"), "input_changed",
        ),
        # failures that another attempt can mend
        "a failure of the engine": (*failed(record, "engine_error"), "retry"),
        "a timeout": (*failed(record, "timeout", attempts=99), "retry"),
        "a timeout under another task": (*failed(record, "timeout", task_fingerprint="x"), "retry"),
        "a timeout of another model": (*failed(record, "timeout", model="x"), "retry"),
        # failures that would come again
        "too long": (*failed(record, "too_long"), "done"),
        "invalid output": (*failed(record, "invalid_output"), "done"),
        "an empty input": (*failed(record, "empty_input"), "done"),
        # another task, and after it another model
        "another task": ("fresh", record(task_fingerprint="x"), "task_changed"),
        "an unknown task": ("fresh", record(task_fingerprint=None), "task_changed"),
        "another task and another model": ("fresh", record(task_fingerprint="x", model="x"), "task_changed"),
        "an empty input under another task": (*failed(record, "empty_input", task_fingerprint="x"), "task_changed"),
        "another model": ("fresh", record(model="x"), "model_changed"),
        "an unknown model": ("fresh", record(model=None), "model_changed"),
        "too long for another model": (*failed(record, "too_long", model="x"), "model_changed"),
        "invalid output of another model": (*failed(record, "invalid_output", model="x"), "model_changed"),
        "an empty input, which is empty for every model": (*failed(record, "empty_input", model="x"), "done"),
        "done": ("fresh", record(), "done"),
        "done, of a truncated input": ("fresh", record(status="truncated"), "done"),
        "done, from an unknown source": ("fresh", record(source=None), "done"),
    }  # fmt: skip
    found = states({case: (value, label) for case, (value, label, _) in cases.items()})
    assert found == {case: state for case, (*_, state) in cases.items()}
    assert set(found.values()) == set(STATES)


def test_relabel_decides_whether_another_task_counts_and_never_whether_another_model_does(states, record):
    rows = {
        "another task": ("fresh", record(task_fingerprint="x")),
        "another model": ("fresh", record(model="x")),
        "both": ("fresh", record(task_fingerprint="x", model="x")),
    }
    found = {relabel: tuple(states(rows, relabel=relabel).values()) for relabel in ("none", "task", "model")}
    assert found == {
        "none": ("done", "model_changed", "model_changed"),
        "task": ("task_changed", "model_changed", "task_changed"),
        "model": ("task_changed", "model_changed", "task_changed"),
    }


def test_names_with_quotes_are_compared_as_they_are(states, record):
    label = record(task_fingerprint="it's \\ f", model="it's \\ m")
    assert states({"row": ("fresh", label)}, fingerprint="it's \\ f", models={"it's \\ m": 0.0}) == {
        "row": "done"
    }


def test_a_lower_threshold_retries_what_was_withheld_and_a_higher_one_what_was_given(states, record):
    cases = {
        "withheld, and not sure enough": (*failed(record, "uncertain", confidence=0.49), "done"),
        "withheld, and sure enough now": (*failed(record, "uncertain", confidence=0.5), "retry"),
        "withheld, of unknown confidence": (*failed(record, "uncertain", confidence=None), "done"),
        "withheld by another model, and sure enough now": (
            *failed(record, "uncertain", confidence=0.5, model="x"), "retry",
        ),
        "given, and sure enough": ("fresh", record(confidence=0.5), "done"),
        "given, and not sure enough now": ("fresh", record(confidence=0.49), "retry"),
        "given to a truncated input": ("fresh", record(status="truncated", confidence=0.49), "retry"),
        "given, of unknown confidence": ("fresh", record(confidence=None), "done"),
        "given by another model": ("fresh", record(confidence=0.49, model="x"), "model_changed"),
        "given by an unknown model": ("fresh", record(confidence=0.49, model=None), "model_changed"),
        "a failure with a confidence": (*failed(record, "invalid_output", confidence=0.49), "done"),
        "a surer failure": (*failed(record, "invalid_output", confidence=0.9), "done"),
    }  # fmt: skip
    found = states({case: (value, label) for case, (value, label, _) in cases.items()}, min_confidence=0.5)
    assert found == {case: state for case, (*_, state) in cases.items()}


def test_without_a_threshold_everything_withheld_is_retried_and_nothing_given(states, record):
    rows = {
        "withheld": failed(record, "uncertain", confidence=0.0),
        "given": ("fresh", record(confidence=0.0)),
    }
    assert states(rows) == {"withheld": "retry", "given": "done"}


def test_a_policy_says_how_often_rows_with_a_status_are_asked(states, record):
    rows = {
        (status, attempts): failed(record, status, attempts=attempts)
        for status in ("engine_error", "timeout", "invalid_output", "too_long")
        for attempts in (None, 1, 2, 3)
    }
    retry = {"engine_error": 1, "invalid_output": 3, "too_long": None}
    found = states({f"{status} {attempts}": row for (status, attempts), row in rows.items()}, retry=retry)
    assert {case for case, state in found.items() if state == "retry"} == {
        "engine_error None",
        "timeout None", "timeout 1", "timeout 2", "timeout 3",
        "invalid_output None", "invalid_output 1", "invalid_output 2",
        "too_long None", "too_long 1", "too_long 2", "too_long 3",
    }  # fmt: skip
    assert set(found.values()) == {"retry", "done"}


def test_of_two_models_in_turn_the_first_ones_answer_stands_where_it_is_sure(states, record):
    rows = {
        "sure": ("fresh", record(confidence=0.8)),
        "unsure": ("fresh", record(confidence=0.79)),
        "without a confidence": ("fresh", record(confidence=None)),
        "failed for good": failed(record, "too_long", confidence=None),
        "the second one's": ("fresh", record(model="n", confidence=0.1)),
        "the second one failed for good": failed(record, "too_long", model="n"),
        "another model's": ("fresh", record(model="x", confidence=0.9)),
    }
    found = states(rows, models={"m": 0.8, "n": 0.0})
    done = {"sure", "the second one's", "the second one failed for good"}
    assert found == {case: "done" if case in done else "model_changed" for case in rows}


def test_either_models_answers_below_the_threshold_are_tried_again(states, record):
    rows = {model: ("fresh", record(model=model, confidence=0.85)) for model in ("m", "n", "x")}
    found = states(rows, models={"m": 0.8, "n": 0.0}, min_confidence=0.9)
    assert found == {"m": "retry", "n": "retry", "x": "model_changed"}
