"""What the probe process does, in this process."""

import numpy as np
import pytest

from sparklabel.classifiers.classifier import HIDDEN, SENTENCE
from sparklabel.classifiers.features import sentence_features
from sparklabel.reviewing.probe.row_features import KnownVectors, StoredFeatures
from sparklabel.reviewing.probe.scores import suggestion
from sparklabel.reviewing.probe.worker import ProbeWorker, names_of
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


def new_worker(task=TASK, encoder=None, hidden_model="", **more):
    known = KnownVectors(encoder or Letters())
    sources = {SENTENCE: lambda texts: sentence_features(task, texts, known)} | more
    return ProbeWorker(task, sources, names_of(task, known), hidden_model)


def worker(told, task=TASK):
    found = new_worker(task)
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
    found = new_worker()
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
    found = new_worker()
    found.add_rows(told)
    found.answer(answers(told[-4:]))
    found.read_answered(99)
    assert (found.featured, found.waiting) == (4, 56)
    assert found.scores().learned_from == 4


def test_equal_texts_are_embedded_once():
    encoder = Letters()
    found = new_worker(matching("same", "one", "other"), encoder)
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


def lengths(texts):
    """Wide features of texts that say nothing of the answer, but for an `!`."""
    return np.array([[len(text), 100.0 * ("!" in text[0]), 7.0] for text in texts], np.float32)


def test_hidden_states_are_read_after_all_sentence_vectors_and_count_for_rows_that_have_them():
    told = [(one, (f"abc{number}" + "!" * (number % 2),)) for number, (one, _) in enumerate(rows())]
    told = [(one, inputs) for one, inputs in told if not is_held_out(inputs)]
    found = new_worker(**{HIDDEN: lengths})
    found.add_rows(told)
    found.read_rows(len(told))
    assert (found.featured, found.readings, found.waiting) == (len(told), len(told), len(told))
    found.answer([(one, "angry" if "!" in inputs[0] else "calm") for one, inputs in told[:24]])
    found.read_answered(99)
    found.read_rows(10)
    assert found.scores().learned_from == 24
    found.read_rows(len(told))
    assert found.waiting == 0
    scores = found.scores()
    said = [suggestion(TASK.answer_mode, scores, n).value for n in range(24, len(told))]
    assert said == ["angry" if "!" in inputs[0] else "calm" for _, inputs in told[24:]]


def test_hidden_states_alone_make_a_probe():
    told = [(one, (inputs[0] + "!" * (number % 2),)) for number, (one, inputs) in enumerate(rows())]
    told = [(one, inputs) for one, inputs in told if not is_held_out(inputs)]
    found = ProbeWorker(TASK, {HIDDEN: lambda texts: lengths([[text] for [text] in texts])})
    found.add_rows(told)
    found.read_rows(5)
    assert found.featured == 0
    found.read_rows(len(told))
    assert found.scores().featured == len(told)


def test_wide_features_are_projected_once_there_are_no_more_and_later_ones_like_them():
    random, found = np.random.default_rng(0), StoredFeatures(is_wide=True)
    wide = random.normal(size=(40, 4)) @ random.normal(size=(4, 600))
    wide = wide.astype(np.float32)
    found.add(["a"], wide[:1], is_last=False)
    assert not found.is_ready
    found.add([f"b{n}" for n in range(29)], wide[1:30], is_last=True)
    found.add([f"c{n}" for n in range(10)], wide[30:], is_last=True)
    narrow = found.of(found.hashes).astype(np.float32)
    assert narrow.shape == (40, 30)

    def distances(vectors):
        return np.linalg.norm(vectors[:, None] - vectors[None], axis=2)

    scaled = (wide - wide[:30].mean(axis=0)) / wide[:30].std(axis=0)
    assert distances(narrow) == pytest.approx(distances(scaled), rel=0.02, abs=0.1)


def of_rows(told, keep=lambda number: True):
    """Kept states that tell the answers of `told` apart, of those rows whose number is wanted."""
    states = {one: np.array([number % 2, 1.0, 5.0], "<f2").tobytes() for number, (one, _) in enumerate(told)}
    return {one: states[one] for number, (one, _) in enumerate(told) if keep(number)}


def unreadable(texts):
    raise AssertionError("a row that has states was read")


@pytest.fixture
def alike():
    """Rows that are alike to the encoder; each second one is angry. None is held out."""
    texts = ((f"h{number}", (f"row {number}",)) for number in range(200))
    return [(one, inputs) for one, inputs in texts if not is_held_out(inputs)][:60]


def learned(found, told, count):
    """How many of the other rows it is right on, after so many answers."""
    found.answer([(one, "angry" if number % 2 else "calm") for number, (one, _) in enumerate(told[:count])])
    scores = found.scores()
    said = [suggestion(TASK.answer_mode, scores, n).value for n in range(count, len(told))]
    return sum(value == ("angry" if n % 2 else "calm") for n, value in enumerate(said, count))


def test_rows_whose_states_a_pass_has_kept_are_not_read(alike):
    found = new_worker(**{HIDDEN: unreadable}, hidden_model="m")
    found.add_rows(alike)
    found.read_rows(len(alike))
    found.add_hidden_states("m", of_rows(alike), is_last=True)
    assert (found.waiting, found.readings) == (0, 2 * len(alike))
    assert learned(found, alike, 24) == len(alike) - 24


def test_kept_states_of_another_model_take_the_place_of_what_is_read_here(alike):
    found = new_worker(**{HIDDEN: lengths}, hidden_model="m")
    found.add_rows(alike)
    found.read_rows(len(alike))
    found.read_rows(30)
    found.add_hidden_states("other", of_rows(alike, lambda number: number < 40), is_last=False)
    found.add_hidden_states("other", of_rows(alike, lambda number: number >= 40), is_last=True)
    # What was read before counts as read, or the new ones, being fewer, would not be scored.
    assert (found.waiting, found.readings) == (0, len(alike) + 30 + len(alike))
    assert learned(found, alike, 24) == len(alike) - 24


def test_kept_states_of_few_rows_are_left_out(alike):
    found = new_worker(**{HIDDEN: lengths}, hidden_model="m")
    found.add_rows(alike)
    found.add_hidden_states("other", of_rows(alike, lambda number: number < 40), is_last=False)
    assert "kept features of 40 of the 60 rows" in found.add_hidden_states("other", {}, is_last=True)
    assert found.waiting == 2 * len(alike)


def test_rows_to_begin_with_are_chosen_anew_among_those_that_have_states(alike):
    found = ProbeWorker(TASK, {HIDDEN: lengths}, None, "m")
    found.add_rows(alike)
    found.read_rows(len(alike))
    assert len(found.scores().queue()) == 60
    assert found.add_hidden_states("other", of_rows(alike, lambda number: number >= 10), is_last=True) == ""
    assert sorted(found.scores().queue()) == sorted(one for one, _ in alike[10:])


def test_a_state_beyond_float16_does_not_undo_the_others(alike):
    found = new_worker(**{HIDDEN: lambda rows: np.full((len(rows), 4), 1e6, np.float32)}, hidden_model="m")
    found.add_rows(alike)
    found.read_rows(len(alike))
    found.read_rows(len(alike))
    found.answer([(one, "angry" if number % 2 else "calm") for number, (one, _) in enumerate(alike[:24])])
    assert np.isfinite(found.scores().margin).all()


@pytest.mark.parametrize(("kept", "counts"), [(30, True), (23, False)])
def test_kept_states_count_if_nearly_all_answered_rows_have_them(alike, kept, counts):
    found = new_worker()
    found.add_rows(alike)
    found.read_rows(len(alike))
    found.add_hidden_states("m", of_rows(alike, lambda number: number < kept or number >= 35), is_last=True)
    found.answer([(one, "angry" if number % 2 else "calm") for number, (one, _) in enumerate(alike[:35])])
    assert found.scores().learned_from == (30 if counts else 35)


def test_kept_states_count_although_the_last_part_has_none(alike):
    found = new_worker()
    found.add_rows(alike)
    found.read_rows(len(alike))
    found.add_hidden_states("m", of_rows(alike), is_last=False)
    found.add_hidden_states("m", {}, is_last=True)
    assert learned(found, alike, 24) == len(alike) - 24


def test_states_of_unknown_rows_are_not_kept(alike):
    found = new_worker()
    found.add_hidden_states("m", of_rows(alike), is_last=True)
    assert found.readings == 0


def test_null_is_read_as_an_empty_text():
    assert worker([("h", (None,))]).scores().featured == 1
