"""The probe in its process."""

import os
import queue
import signal
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from sparklabel.reviewing.probe.process import Pace, ProbeProcess
from sparklabel.splits import is_held_out
from sparklabel.tasks import classification, generation

TASK = classification("tone", "text", ["calm", "angry"])
TEXTS = (("oooo {}", "xxxx {}")[n % 2].format(n) for n in count())
ROWS = [
    (f"h{n}", (text,))
    for n, text in zip(range(80), (t for t in TEXTS if not is_held_out((t,))), strict=False)
]
ANSWERS = [(input_hash, "calm" if "oo" in inputs[0] else "angry") for input_hash, inputs in ROWS]
PATIENCE = 600  # seconds: the probe is nice, and machines are busy


@pytest.fixture
def start(tiny_encoder, tiny_model):
    """Starts a probe; what it finds arrives in `found`."""
    opened = []

    def open_probe(task=TASK, features="auto", encoder=str(tiny_encoder), model=str(tiny_model)):
        found = queue.Queue()
        probe = ProbeProcess(task.to_dict(), features, encoder, model, on_scores=found.put)
        opened.append(probe)
        return SimpleNamespace(probe=probe, found=found)

    yield open_probe
    for probe in opened:
        probe.close()


def until(found, is_wanted):
    while not is_wanted(scores := found.get(timeout=PATIENCE)):
        pass
    return scores


@pytest.mark.process
def test_it_reads_learns_and_scores_and_outlives_its_process_once(start):
    started = start()
    started.probe.tell(ROWS)
    before = until(started.found, lambda scores: scores.featured == 80)
    assert (before.learned_from, before.hashes) == (0, tuple(input_hash for input_hash, _ in ROWS))
    assert len(before.queue()) == 80

    started.probe.tell(answers=ANSWERS[:20])
    learned = until(started.found, lambda scores: scores.learned_from == 20)
    assert learned.hashes == before.hashes
    assert sorted(learned.queue()) == sorted(input_hash for input_hash, _ in ROWS[20:])
    said = [("calm", "angry")[number] for number in learned.best[20:, 0]]
    assert said == [value for _, value in ANSWERS[20:]]

    os.kill(started.probe.pid, signal.SIGKILL)
    again = until(started.found, lambda scores: scores.featured == 80 and scores.learned_from == 20)
    assert sorted(again.queue()) == sorted(learned.queue())
    assert started.probe.status() == ""

    os.kill(started.probe.pid, signal.SIGKILL)
    started.probe.wait(PATIENCE)
    assert "ended 2 times (exit code -9)" in started.probe.status()
    started.probe.tell(answers=ANSWERS[20:])  # nobody hears it


@pytest.mark.process
def test_it_takes_the_states_that_a_pass_has_kept_of_another_model(start):
    started = start(features="hidden")
    started.probe.tell(ROWS, ANSWERS[:20])
    states = {one: np.array([value == "calm", 2.0], "<f2").tobytes() for one, value in ANSWERS[:70]}
    started.probe.tell_hidden_states("another model", states, is_last=True)
    learned = until(started.found, lambda scores: (scores.featured, scores.learned_from) == (70, 20))
    said = [("calm", "angry")[number] for number in learned.best[20:, 0]]
    assert said == [value for _, value in ANSWERS[20:70]]


@pytest.mark.process
def test_what_a_pass_has_kept_of_too_few_rows_is_left_out_and_said(start):
    started = start(features="hidden")
    started.probe.tell(ROWS, ANSWERS[:20])
    started.probe.tell_hidden_states("another model", {ROWS[0][0]: b"\0\0"}, is_last=True)
    until(started.found, lambda scores: (scores.featured, scores.learned_from) == (80, 20))
    assert "a pass has kept features of 1 of the 80 rows here, which is too few" in started.probe.status()


@pytest.mark.process
def test_with_nothing_that_reads_rows_there_is_no_probe(start, tmp_path):
    started = start(encoder=str(tmp_path), model=str(tmp_path))
    started.probe.wait(PATIENCE)
    assert started.probe.status().startswith("There is no probe: ")


def test_tasks_whose_answers_are_written_have_no_probe(start):
    started = start(generation("summary", "text", "Sum up."))
    started.probe.tell(ROWS)
    assert "answers to a task of kind 'generation' are written" in started.probe.status()
    assert started.probe.pid is None


def test_a_probe_that_is_not_wanted_is_not_started(start):
    started = start(features="none")
    assert "switched off" in started.probe.status()
    assert started.probe.pid is None


def test_ten_answers_are_learned_at_once():
    pace = Pace()
    pace.scored(100)
    pace.answered(9, now=5.0)
    assert not pace.is_due(5.0, readings=100, waiting=0)
    pace.answered(1, now=6.0)
    assert pace.is_due(6.0, readings=100, waiting=0)


def test_one_answer_is_learned_after_three_seconds():
    pace = Pace()
    pace.scored(100)
    assert pace.seconds_left(5.0) is None
    pace.answered(1, now=5.0)
    assert pace.seconds_left(6.0) == pytest.approx(2.0)
    assert pace.is_due(8.0, readings=100, waiting=0)
    pace.scored(100)
    assert not pace.is_due(99.0, readings=100, waiting=0)


def test_rows_are_scored_after_five_hundred_and_when_all_are_read():
    pace = Pace()
    assert not pace.is_due(0.0, readings=499, waiting=1)
    assert pace.is_due(0.0, readings=500, waiting=1)
    assert pace.is_due(0.0, readings=499, waiting=0)
