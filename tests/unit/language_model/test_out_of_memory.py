"""A device that cannot hold a batch: smaller ones go on, and the answers are the same."""

import pytest
import torch

from sparklabel.engines import ScoringRequest
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.errors import EngineError
from sparklabel.label_trie import label_trie
from sparklabel.language_model import LanguageModel
from tests.unit.language_model.written_rows import PREFIX, ROWS, SCHEMAS, ask

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def engine(tiny_model):
    return TransformersEngine.load(tiny_model, dtype="float32")


class Memory:
    """A device that holds this many tokens of a forward pass."""

    def __init__(self, engine, tokens):
        self.tokens, self.failures = tokens, 0
        engine.language_model.model.base_model.register_forward_pre_hook(self._check, with_kwargs=True)

    def _check(self, module, args, kwargs):
        if kwargs["input_ids"].numel() > self.tokens:
            self.failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.fixture
def small(tiny_model):
    """An engine of its own, whose memory the test sets."""
    return TransformersEngine(LanguageModel.load(tiny_model, dtype="float32", batch_tokens=1024))


def test_generation_goes_on_with_what_fits_into_memory_and_remembers_it(small, engine):
    memory = Memory(small, 40)
    found = ask(small, None, ROWS, 24)
    assert [answer.text for answer in found] == [answer.text for answer in ask(engine, None, ROWS, 24)]
    assert memory.failures
    memory.failures = 0
    ask(small, None, ROWS, 24)
    assert memory.failures == 0
    assert small.language_model.batch_tokens <= 40


def test_answers_that_are_under_way_go_on_when_memory_runs_out(small, engine):
    rows = [(n + 1,) for n in range(16)]
    memory, steps = Memory(small, 10_000), []

    def less(module, args, kwargs):
        steps.append(kwargs["input_ids"].numel())
        memory.tokens = 12 if len(steps) == 6 else 10_000  # as when another process takes memory for a while

    small.language_model.model.base_model.register_forward_pre_hook(less, with_kwargs=True, prepend=True)
    found = ask(small, None, rows, 24)
    assert memory.failures == 1
    for answer, expected in zip(found, ask(engine, None, rows, 24), strict=True):
        assert (answer.text, answer.ends, answer.finished) == (
            expected.text,
            expected.ends,
            expected.finished,
        )
        assert answer.log_p == pytest.approx(expected.log_p, abs=1e-4)
    # No row began anew: 16 rows of 1 and 24 tokens, each evaluated once or, put back after six steps, twice.
    assert sum(steps) <= 17 + 16 * (24 + 7)


def test_scoring_goes_on_with_what_fits_into_memory_and_remembers_it(small, engine):
    memory = Memory(small, 50)
    request = ScoringRequest(PREFIX, ROWS, label_trie([(5, 6), (5, 7, 8), (9,)], ["a", "b", "c"]))
    assert small.score(request) == pytest.approx(engine.score(request), abs=1e-4)
    assert memory.failures
    memory.failures = 0
    small.score(request)
    assert memory.failures == 0


@pytest.mark.parametrize("schema", [None, SCHEMAS["object"]])
def test_a_single_row_that_does_not_fit_is_the_engines_error(small, schema):
    Memory(small, 20)
    with pytest.raises(EngineError, match="out of memory"):
        ask(small, schema, [*ROWS, (5,) * 30], 24)
