"""Sums over the chunks of a pass."""

import pytest

from sparklabel.labeling.stats import ChunkStats, PassStats


def test_chunks_are_summed():
    stats = PassStats()
    for chunk in (ChunkStats(10, 1, 100, 5), ChunkStats(20, 2, 200, 6)):
        stats.add(chunk)
    assert (stats.inputs, stats.last, stats.failed, stats.chunks) == (30, 20, 3, 2)
    assert (stats.prompt_tokens, stats.output_tokens, stats.tokens) == (300, 11, 311)
    assert "3 failed" in stats.note


def test_nothing_computed_has_no_rate():
    assert PassStats().rate is None


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_rate_is_known_from_the_first_chunk_on(chunks):
    stats = PassStats()
    for _ in range(chunks):
        stats.add(ChunkStats(10, 0, 0, 0))
    assert stats.rate > 0
