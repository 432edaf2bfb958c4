"""The order of a call's passes: what ends one, and what ends all that are left."""

import time
from types import SimpleNamespace

import pytest

from sparklabel.labeling.executor import answer_in_turn
from sparklabel.labeling.limits import DRIFT, INTERRUPTED, MAX_ERROR_RATIO, MAX_SECONDS, NOT_BEGUN, PassLimits
from sparklabel.labeling.outcome import InferenceResult

MERGER = SimpleNamespace(add=lambda one: None, remove=lambda one: None, merge_if_due=lambda: None)


class Pass:
    """A pass that ends for a reason."""

    def __init__(self, request, reason=""):
        self.ready, self.answered, self._reason = SimpleNamespace(request=request), None, reason

    def answer(self, merge_if_due):
        self.answered = InferenceResult(stop_reason=self._reason)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("", ""), (DRIFT, ""), (INTERRUPTED, INTERRUPTED), (MAX_SECONDS, NOT_BEGUN), (MAX_ERROR_RATIO, NOT_BEGUN),
    ],
)  # fmt: skip
def test_a_reason_of_one_pass_may_end_the_next(request_of, first, second):
    passes = [Pass(request_of(), first), Pass(request_of())]
    answer_in_turn(passes, MERGER)
    assert passes[1].answered.stop_reason == second


def test_a_call_that_is_late_begins_no_further_pass(request_of):
    limits, began = PassLimits(max_seconds=5), time.monotonic() - 6
    passes = [Pass(request_of(limits=limits, call_began=began)) for _ in range(2)]
    answer_in_turn(passes, MERGER)
    assert [one.answered.stop_reason for one in passes] == ["", NOT_BEGUN]
