"""Errors carry a message and a hint, also out of a Spark worker."""

import inspect
import pickle

import pytest

from sparklabel import errors
from sparklabel.errors import EngineError, SparklabelError, TaskError

TREE = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, SparklabelError)]


@pytest.mark.parametrize("cls", TREE)
def test_pickling_keeps_class_message_and_hint(cls):
    back = pickle.loads(pickle.dumps(cls("The table is gone.", hint="Make it again.")))
    assert (type(back), back.message, back.hint) == (cls, "The table is gone.", "Make it again.")


@pytest.mark.parametrize("cls", TREE)
def test_each_error_is_described_and_drawn_in_the_tree(cls):
    assert cls.__doc__
    assert cls.__name__ in (errors.__doc__ or "")


def test_the_hint_is_printed_below_the_message():
    assert (
        str(TaskError("The task has no labels.", hint="List some."))
        == "The task has no labels.\n  List some."
    )


def test_a_whole_document_that_a_message_quotes_is_shortened():
    message = TaskError(f"The label {'x' * 100_000!r} is too long.").message
    assert len(message) == 2000
    assert message.endswith("x' is too long.")


def test_without_a_hint_the_message_stands_alone():
    assert str(TaskError("The task has no labels.")) == "The task has no labels."


def test_only_what_another_attempt_can_mend_is_retryable():
    assert {cls.__name__ for cls in TREE if cls.retryable} == {
        "ConflictError", "EngineDied", "EngineError", "ModelUnreachable", "TrainingInterrupted",
    }  # fmt: skip
    assert EngineError("gone").retryable
