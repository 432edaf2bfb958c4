"""Hidden states as workers pack them."""

import numpy as np

from sparklabel.errors import EngineError
from sparklabel.udf.states import packed


def states(rows):
    if any(text == "too long" for (text,) in rows):
        raise EngineError("out of memory")
    return np.array([[len(text), 1e6] for (text,) in rows], np.float32)


def test_a_row_that_the_model_fails_on_costs_itself_alone():
    found = packed(states, [["a"], ["too long"], ["bbb"], ["cc"]])
    assert found[1] is None
    assert [np.frombuffer(one, "<f2").tolist() for one in found if one] == [[n, 65504.0] for n in (1, 3, 2)]
