"""What the probe process does, in this process."""

import numpy as np
import pytest

from sparklabel.reviewing.probe.scores import suggestion
from sparklabel.reviewing.probe.worker import KnownVectors, ProbeWorker
from sparklabel.splits import is_held_out
from sparklabel.tasks import classification, matching, multilabel, rating

TASK = classification("tone", "text", ["calm", "angry"])


class Letters:
    """An encoder whose vectors are how often a text has an a, a b and a c. It counts the texts that it has seen."""

    identity = "letters"

    def __init__(self):
        self.seen = []

    def embed(self, texts):
        self.seen += texts
        counts = np.array([[text.count(letter) for letter in "abc"] for text in texts], np.float32).reshape(
            -1, 3
        )
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


def rows(count=60, text="aab {}", other="bbc {}", held_out=False):
    """So many rows by hash: even numbers are calm, odd ones angry."""
    found, number = [], 0
    while len(found) < count:
        inputs = ((text if len(found) % 2 == 0 else other).format(number),)
        if is_held_out(inputs) == held_out:
            found.append((f"h{held_out}{len(found)}", inputs))
        number += 1
    return found


def answers(asked):
    return [(input_hash, "calm" if "aa" in inputs[0] else "angry") for input_hash, inputs in asked]


def worker(told, task=TASK):
    found = ProbeWorker(task, Letters())
    found.add_rows(told)
    found.read_rows(len(told))
    return found


def test_answers_teach_it_the_other_rows():
    told = rows()
    found = worker(told)
    found.answer(answers(told[:20]))
    scores = found.scores()
    assert scores.learned_from == 20
    position = {input_hash: n for n, input_hash in enumerate(scores.hashes)}
    said = [suggestion(TASK.answer_mode, scores, position[one]).value for one, _ in told[20:]]
    assert said == [value for _, value in answers(told[20:])]


def test_answered_and_held_out_rows_are_not_asked():
    told, judging = rows(), rows(10, held_out=True)
    found = worker([*told, *judging])
    found.answer(answers(told[:20]))
    scores = found.scores()
    assert scores.featured == 70
    assert sorted(scores.queue()) == sorted(input_hash for input_hash, _ in told[20:])


def test_a_held_out_row_must_not_teach():
    judging = rows(2, held_out=True)
    found = worker(judging)
    with pytest.raises(AssertionError, match="held-out"):
        found.answer(answers(judging))


def test_the_answer_to_a_held_out_row_that_comes_later_must_not_teach_either():
    found = ProbeWorker(TASK, Letters())
    told = [*rows(4), *rows(2, held_out=True)]
    found.answer(answers(told))
    found.add_rows(told)
    found.read_rows(9)
    with pytest.raises(AssertionError, match="held-out"):
        found.scores()


def test_an_answer_that_was_undone_is_forgotten_and_its_row_asked_again():
    told = rows()
    found = worker(told)
    assert found.answer(answers(told[:20])) == 20
    assert found.answer([(told[0][0], None)]) == 1
    scores = found.scores()
    assert scores.learned_from == 19
    assert told[0][0] in scores.queue()


def test_an_answer_that_is_repeated_is_not_new():
    told = rows()
    found = worker(told)
    found.answer(answers(told[:4]))
    assert found.answer(answers(told[:4])) == 0


def test_it_learns_nothing_while_all_answers_are_the_same():
    told = rows()
    found = worker(told)
    found.answer([(input_hash, "calm") for input_hash, _ in told[:8]])
    assert found.scores().learned_from == 0


def test_rows_that_lie_apart_are_asked_first():
    told = [*rows(40, text="aaa {}", other="aaa {}"), ("c", ("ccc rows lie apart",)), ("b", ("bbb",))]
    assert not is_held_out(told[-1][1])
    assert not is_held_out(told[-2][1])
    assert {"b", "c"} < set(worker(told).scores().queue()[:5])


def test_answered_rows_are_read_before_the_others():
    told = rows()
    found = ProbeWorker(TASK, Letters())
    found.add_rows(told)
    found.answer(answers(told[-4:]))
    found.read_answered()
    assert (found.featured, found.waiting) == (4, 56)
    assert found.scores().learned_from == 4


def test_equal_texts_are_embedded_once():
    encoder = Letters()
    found = ProbeWorker(matching("same", "one", "other"), encoder)
    found.add_rows([("h1", ("aa", "bb")), ("h2", ("aa", "cc")), ("h3", ("cc", "bb"))])
    for _ in range(3):
        found.read_rows(1)
    assert sorted(encoder.seen) == ["aa", "bb", "cc"]


def test_a_known_vector_is_what_the_encoder_says():
    known, texts = KnownVectors(Letters()), ["aab", "c", "aab"]
    assert known.embed(texts) == pytest.approx(Letters().embed(texts), abs=1e-3)
    assert known.embed([]).shape == (0, 3)


@pytest.mark.parametrize(
    ("task", "of"),
    [
        (rating("t", "text", (1, 3)), {"calm": 1.0, "angry": 3.0}),
        (multilabel("t", "text", ["x", "y"]), {"calm": ["x"], "angry": ["x", "y"]}),
    ],
)
def test_other_kinds_that_choose_have_a_probe_too(task, of):
    told = rows()
    found = worker(told, task)
    found.answer([(input_hash, of[value]) for input_hash, value in answers(told[:30])])
    scores = found.scores()
    said = [suggestion(task.answer_mode, scores, n).value for n in range(30, 60)]
    assert said == [of[value] for _, value in answers(told[30:])]


def test_null_is_read_as_an_empty_text():
    assert worker([("h", (None,))]).scores().featured == 1
