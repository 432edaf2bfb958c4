"""What a pass says when the session under it has ended, with a stand-in for the session."""

from types import SimpleNamespace

import pytest
from py4j.protocol import Py4JNetworkError

from sparklabel.errors import TableError
from sparklabel.labeling.error_translation import failures_diagnosed

REQUEST = SimpleNamespace(table=SimpleNamespace(target=SimpleNamespace(name="tickets")))


class Ended:
    """A session whose JVM is gone."""

    @property
    def version(self):
        raise Py4JNetworkError("nobody answers")


@pytest.mark.parametrize("error", [KeyError("p"), Py4JNetworkError("empty"), ConnectionRefusedError()])
def test_a_session_that_has_ended_is_said_to_have_ended(error):
    with (
        pytest.raises(TableError, match=r"(?s)session ended during the pass over tickets\..*call again"),
        failures_diagnosed(Ended(), [REQUEST]),
    ):
        raise error


def living(is_stopped):
    """A session whose JVM answers, with its context running or stopped."""
    jvm = SimpleNamespace(sc=lambda: SimpleNamespace(isStopped=lambda: is_stopped))
    return SimpleNamespace(version="4.2.0", sparkContext=SimpleNamespace(_jsc=jvm))


def test_the_same_errors_of_a_session_that_lives_are_raised_as_they_are():
    with pytest.raises(KeyError), failures_diagnosed(living(is_stopped=False), [REQUEST]):
        raise KeyError("p")


def test_a_stopped_context_is_a_session_that_has_ended():
    with (
        pytest.raises(TableError, match="session ended during the pass"),
        failures_diagnosed(living(is_stopped=True), [REQUEST]),
    ):
        raise KeyError("p")
