"""The record: what is hashed, what is quoted, and that record and SQL type name the same fields."""

import hashlib
import re
from dataclasses import fields
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparklabel.labels import status
from sparklabel.labels.predicates import RELABEL, pending_states
from sparklabel.labels.record import Label, input_hash, label_ddl
from sparklabel.sql import quote, sql_string

CELLS = st.none() | st.binary(max_size=6)


@given(st.lists(CELLS, max_size=4), st.lists(CELLS, max_size=4))
def test_different_inputs_have_different_hashes(one, other):
    assert (input_hash(one) == input_hash(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    list(combinations(([None], [b""], [b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"abc", None], [b"N"]), 2)),
)
def test_where_one_input_ends_and_whether_it_is_null_are_part_of_the_hash(one, other):
    assert input_hash(one) != input_hash(other)


def test_the_hash_never_changes_between_releases():
    assert input_hash([b"abc", None]) == hashlib.sha256(b"S3:abcN").hexdigest()


def test_the_sql_type_has_the_records_fields_in_their_order():
    names = re.findall(
        r"(?<![<\w])(\w+): ", re.sub(r"ARRAY<STRUCT<[^>]*>>", "ARRAY", label_ddl("STRING")[6:])
    )
    assert ["value", *names] == [field.name for field in fields(Label)]


def test_the_value_and_its_alternatives_have_the_tasks_type():
    assert label_ddl("BOOLEAN").count("value: BOOLEAN") == 2


def test_names_and_strings_are_quoted_for_sql():
    assert quote("a`b") == "`a``b`"
    assert sql_string(r"it's \ here") == r"'it\'s \\ here'"


def test_another_models_answers_are_pending_only_when_asked_for():
    usual = ("new", "input_changed", "retry", "task_changed")
    assert {relabel: pending_states(relabel) for relabel in RELABEL} == {
        "none": usual, "task": usual, "model": (*usual, "model_changed"),
    }  # fmt: skip


def test_every_status_is_an_answer_a_failure_or_a_guess_that_was_withheld():
    named = {text for name, text in vars(status).items() if name.isupper() and isinstance(text, str)}
    assert named == {*status.ANSWERED, *status.FAILURES, status.UNCERTAIN}
    assert set(status.RETRYABLE) < set(status.FAILURES)
