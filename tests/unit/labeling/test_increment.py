"""After which passes the next one need not read what has not changed."""

import pytest

from sparklabel.labeling.increment import answers_all
from sparklabel.labeling.limits import MAX_SECONDS, PassLimits
from sparklabel.labeling.outcome import InferenceResult
from sparklabel.labeling.stats import ChunkStats, PassStats
from sparklabel.table.row_states import Scope
from sparklabel.table.shards import Shard


def test_a_pass_that_answered_every_pending_row_answers_all(plan_of):
    assert answers_all(plan_of(), InferenceResult())


@pytest.mark.parametrize(
    "scope", [Scope(where="id > 1"), Scope(shard=Shard(0, 2)), Scope(retry=(("uncertain", 3),))]
)
def test_a_pass_over_a_part_of_the_rows_leaves_the_others(plan_of, scope):
    assert not answers_all(plan_of(scope=scope), InferenceResult())


def test_a_pass_that_stopped_early_leaves_rows(plan_of):
    assert not answers_all(plan_of(), InferenceResult(stop_reason=MAX_SECONDS))


def test_a_pass_with_a_limit_leaves_rows(plan_of):
    assert not answers_all(plan_of(limits=PassLimits(max_rows=3)), InferenceResult())


def test_a_row_that_the_engine_failed_on_is_left(plan_of):
    stats = PassStats()
    stats.add(ChunkStats(answers=10, failed=1, prompt_tokens=0, output_tokens=0))
    assert not answers_all(plan_of(), InferenceResult(stats))
