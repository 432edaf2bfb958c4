"""Misspelled names are named with the nearest one."""

import pytest

from sparklabel.arguments import check_arguments, check_flags, did_you_mean
from sparklabel.errors import SetupError, TableError


def test_a_misspelled_argument_is_named_with_the_nearest_one():
    with pytest.raises(SetupError) as caught:
        check_arguments("label_table", ["where", "max_rows"], ["mx_rows"])
    assert caught.value.message == "label_table has no argument 'mx_rows'; did you mean max_rows?"
    assert caught.value.hint == "It takes: where, max_rows."


def test_a_name_like_no_other_is_not_guessed_at():
    with pytest.raises(SetupError, match=r"^f has no argument 'temperature'\.\n"):
        check_arguments("f", ["where", "max_rows"], ["temperature"])


def test_known_arguments_pass():
    check_arguments("f", ["where", "max_rows"], ["max_rows"])


def test_case_does_not_hide_the_nearest_name():
    assert did_you_mean("OPENAI", ["transformers", "openai"]) == "; did you mean openai?"


@pytest.mark.parametrize("given", ["no", 1, None])
def test_a_flag_that_is_no_flag_is_named(given):
    with pytest.raises(TableError, match=f"^dry_run={given!r} is neither True nor False"):
        check_flags(TableError, adopt=True, dry_run=given)
