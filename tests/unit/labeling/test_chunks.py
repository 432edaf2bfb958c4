"""The sizes of a pass's chunks, and of the files that they leave in staging."""

import itertools

import pytest

from sparklabel.labeling.chunks import BUCKETS, WRITE_RATE, Chunks, chunk_seconds, files_of


def ranges(slots, inputs, rate):
    """The chunks of a pass that answers so many inputs a second, as (start, end) and the inputs of each."""
    chunks, found = Chunks(slots, inputs), []
    for start, end in chunks:
        size = inputs * (end - start) / BUCKETS
        found.append((start, end, size))
        chunks.took(round(size), size / rate)
    return found


def test_chunks_cover_every_bucket_once():
    found = ranges(slots=2, inputs=100_000, rate=1000)
    assert found[0][0] == 0
    assert found[-1][1] == BUCKETS
    assert all(before[1] == after[0] for before, after in itertools.pairwise(found))


def test_the_first_chunk_is_small_and_later_ones_take_as_long_as_they_should():
    sizes = [size for _, _, size in ranges(slots=2, inputs=1_000_000, rate=1000)]
    assert sizes[0] == pytest.approx(128, rel=0.1)
    assert sizes[4:-1] == pytest.approx([15_000] * len(sizes[4:-1]), rel=0.05)


def test_a_pass_of_few_inputs_is_one_chunk():
    assert len(ranges(slots=2, inputs=100, rate=10)) == 1


def test_a_slow_engine_never_gets_a_chunk_smaller_than_the_first():
    sizes = [size for _, _, size in ranges(slots=4, inputs=10_000, rate=1)]
    assert min(sizes[:-1]) >= 250


@pytest.mark.parametrize(("elapsed", "seconds"), [(0, 15), (150, 15), (600, 60), (1e6, 120)])
def test_chunks_grow_to_two_minutes_as_the_pass_goes_on(elapsed, seconds):
    assert chunk_seconds(elapsed) == seconds


def test_a_large_chunk_is_written_by_so_many_tasks_that_the_others_hardly_wait():
    inputs = 4000 * 100 * 120  # slots, inputs a second each, seconds
    assert inputs / files_of(inputs, 120) / WRITE_RATE < 0.05 * 120


@pytest.mark.parametrize(
    ("inputs", "seconds", "files"),
    [(0, 15, 1), (11_250, 15, 1), (11_251, 15, 2), (60_000, 120, 1), (70_000, 120, 2), (10**8, 120, 1526)],
)
def test_a_chunk_is_written_by_as_many_tasks_as_its_bytes_and_its_time_need(inputs, seconds, files):
    assert files_of(inputs, seconds) == files


def test_the_files_of_a_chunk_get_larger_as_chunks_get_longer():
    now = [0.0]
    chunks = Chunks(slots=4000, inputs=10**9, clock=lambda: now[0])
    assert chunks.files(65_536) == 6
    now[0] = 3600.0
    chunks.took(256_000, 15.0)
    assert chunks.files(65_536) == 1
