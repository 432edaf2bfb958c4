"""Examples from people's answers: which may be shown, which are chosen, and how prompts show them."""

import string
from collections import Counter

import numpy as np
import pytest

from sparklabel import classification, multilabel, rating
from sparklabel.engines.fake import ByteTokenizer, FakeEngine
from sparklabel.errors import ModelError
from sparklabel.few_shot import AnsweredInput, candidates, example_set, most_diverse
from sparklabel.labeler import Labeler, PreparedTask
from sparklabel.splits import is_held_out


class Letters:
    """Texts are alike as far as they have the same letters."""

    identity = "letters"

    def embed(self, texts):
        counts = np.array([[text.lower().count(c) for c in string.ascii_lowercase] for text in texts], float)
        return (counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def verdict(choice="similar", count=2, **changes):
    fields = {"name": "verdict", "inputs": "text", "labels": ["fresh", "rotten"], "instructions": "Judge."}
    return classification(**fields | {"examples_from": ("films", count, choice)} | changes)


def shown_texts(texts):
    """Those of the texts that may be shown."""
    return [text for text in texts if not is_held_out([text])]


def pinned(task, answers, version=7, **options):
    pairs = [AnsweredInput((text,), answer) for text, answer in answers]
    return example_set(task, task.examples_from, version, pairs, Letters, **options)


TEXTS = shown_texts(
    ["aaaa", "aaab", "aabb", "bbbb", "zzzz", "qqqq", "aacc", "zzzy", "mmmm", "xxyy", "vvvv", "iiii"]
)
ANSWERS = [(text, "fresh" if number % 2 else "rotten") for number, text in enumerate(TEXTS)]


class Spy(FakeEngine):
    """Remembers what it was asked: the prefix and the rows of its last call, the rows of all."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def score(self, request):
        self.prefix, self.rows = text_of(request.prefix), [text_of(row) for row in request.rows]
        self.calls.append(self.rows)
        return super().score(request)


def text_of(ids):
    return bytes(i for i in ids if i < 256).decode()


def asked(task, examples, rows, context=8192):
    """What the engine is asked for these rows, and the labels."""
    engine = Spy()
    engine.tokenizer.context = context
    labeler = Labeler(task, engine, model="m", examples=examples, open_encoder=Letters)
    return engine, labeler.label([[row] for row in rows])


# Which may be shown.


def test_held_out_answers_are_never_candidates():
    texts = [f"text {number}" for number in range(200)]
    found = candidates(verdict(), [AnsweredInput((text,), "fresh") for text in texts])
    assert {c.example.inputs[0] for c in found} == set(shown_texts(texts))
    assert len(found) < 200


def test_a_text_that_differs_in_case_and_blanks_only_is_one_candidate_with_what_most_say():
    text = TEXTS[0]
    answers = [(text, "fresh"), (f" {text.upper()}", "rotten"), (f"{text} ", "rotten")]
    (found,) = candidates(verdict(), [AnsweredInput((t,), answer) for t, answer in answers])
    assert found.example.answer == "rotten"


def test_candidates_do_not_depend_on_the_order_of_the_rows():
    assert pinned(verdict(), ANSWERS) == pinned(verdict(), ANSWERS[::-1])


def test_empty_overlong_and_unacceptable_answers_are_left_out():
    wrong = [(" ", "fresh"), (None, "fresh"), ("x" * 8001, "fresh"), ("aaaa", "odd"), ("aaab", None)]
    assert candidates(verdict(), [AnsweredInput((text,), answer) for text, answer in wrong]) == []


def test_answers_are_shown_as_a_model_writes_them():
    several = multilabel("tags", "text", ["a_b", "c"])
    stars = rating("stars", "text", (1, 5))
    (tagged,) = candidates(several, [AnsweredInput((TEXTS[0],), ["c"])])
    assert tagged.example.answer == several.verbalize(["c"])
    (rated,) = candidates(stars, [AnsweredInput((TEXTS[0],), 4.0)])
    assert rated.example.answer == "4"


def test_a_set_says_when_the_table_had_more_answers():
    assert pinned(verdict(), ANSWERS, more=True).sampled
    assert not pinned(verdict(), ANSWERS).sampled


# Which are chosen.


def test_diverse_examples_say_every_label_even_a_rare_one():
    vectors = Letters().embed(["aaaa"] * 20 + ["aaab"])
    said = [("common",)] * 20 + [("rare",)]
    assert Counter(said[number] for number in most_diverse(vectors, said, 2)) == {
        ("common",): 1,
        ("rare",): 1,
    }


def test_diverse_examples_lie_far_apart():
    texts = ["aaaa", "aaab", "aaac", "zzzz", "zzzy"]
    chosen = most_diverse(Letters().embed(texts), [("one",)] * 5, 2)
    assert {texts[number][0] for number in chosen} == {"a", "z"}


def test_there_are_no_more_diverse_examples_than_answers():
    assert sorted(most_diverse(Letters().embed(["a", "b"]), [("x",), ("y",)], 5)) == [0, 1]
    assert most_diverse(np.zeros((0, 3), np.float32), [], 5) == []


def test_similar_examples_are_the_nearest_with_the_nearest_last():
    near = pinned(verdict(count=2), [(text, "fresh") for text in TEXTS]).neighbors(Letters())
    shown = pinned(verdict(count=2), [(text, "fresh") for text in TEXTS]).shown
    (found,) = near.nearest([["zzzyy"]], 2)
    scores = Letters().embed(["zzzyy"]) @ Letters().embed([e.inputs[0] for e in shown]).T
    assert found == np.argsort(-scores[0], kind="stable")[:2][::-1].tolist()


def test_a_rows_own_text_is_never_its_example():
    engine, _ = asked(verdict(count=20), pinned(verdict(count=20), ANSWERS), [f"  {TEXTS[0].upper()} "])
    shown = engine.rows[0].rpartition("Text:")[0]
    assert TEXTS[0] not in shown.lower()
    assert all(text in shown for text in TEXTS[1:])


def test_vectors_of_another_encoder_are_refused():
    other = Letters()
    other.identity = "other"
    with pytest.raises(ModelError, match="embedded by letters, and this host has other"):
        pinned(verdict(), ANSWERS).neighbors(other)


# What travels.


def test_sets_are_equal_by_their_content_and_not_by_the_tables_version():
    one, other = pinned(verdict(), ANSWERS, version=1), pinned(verdict(), ANSWERS, version=2)
    assert one == other
    assert hash(one) == hash(other)
    assert one != pinned(verdict(), [*ANSWERS[1:], (ANSWERS[0][0], "fresh")])


def test_diverse_sets_carry_no_vectors_and_only_what_is_shown():
    found = pinned(verdict("diverse", 3), ANSWERS)
    assert (len(found.shown), found.vectors, found.answers) == (3, b"", len(TEXTS))


def test_a_report_names_examples_table_version_and_answers():
    answers = len(TEXTS)
    assert (
        pinned(verdict(), ANSWERS).sentence == f"2 examples a prompt from films version 7 ({answers} answers)"
    )
    assert pinned(verdict(), []).sentence == (
        "no examples: films version 7 has no human answers that may be shown"
    )


def test_without_answers_no_encoder_is_opened():
    task = verdict()
    found = example_set(task, task.examples_from, 1, [], lambda: pytest.fail("opened"))
    assert found.shown == ()


# How prompts show them.


def test_diverse_examples_are_in_the_shared_prefix_as_fixed_ones_are():
    engine, _ = asked(verdict("diverse"), examples := pinned(verdict("diverse"), ANSWERS), ["new", "newer"])
    fixed = [(e.inputs[0], e.answer) for e in examples.shown]
    plain = PreparedTask.of(verdict(examples_from=None, examples=fixed), ByteTokenizer()).encoder
    assert engine.prefix == text_of(plain.prefix)
    assert engine.rows == [" new", " newer"]


def test_similar_examples_stand_behind_the_shared_instructions():
    engine, _ = asked(verdict(), pinned(verdict(), [("aaab", "fresh"), ("zzzz", "rotten")]), ["zzy"])
    assert engine.prefix == "Judge.\nAnswer with exactly one of these labels: fresh, rotten."
    assert engine.rows == [
        "\n\nExamples:\n\nText: aaab\nAnswer: fresh\n\nText: zzzz\nAnswer: rotten\n\nText: zzy"
    ]


def test_a_prompt_reads_the_same_whether_examples_are_fixed_or_the_rows_own():
    examples = pinned(verdict(), ANSWERS[:2])
    engine, _ = asked(verdict(), examples, ["zzy"])
    shown = engine.rows[0].split("\n\n")[2:-1]
    pairs = [tuple(part.removeprefix("Text: ").split("\nAnswer: ")) for part in shown]
    fixed, _ = asked(verdict(examples_from=None, examples=pairs), None, ["zzy"])
    assert engine.prefix + engine.rows[0] == fixed.prefix + fixed.rows[0]


def test_each_row_has_its_own_neighbours():
    engine, _ = asked(verdict(count=1), pinned(verdict(count=1), ANSWERS), ["zzzx", "bbbbx"])
    assert [row.count("Answer:") for row in engine.rows] == [1, 1]
    assert "zzz" in engine.rows[0].partition("Answer:")[0]
    assert "bbb" in engine.rows[1].partition("Answer:")[0]


def test_without_answers_the_row_is_asked_without_examples():
    for choice in ("similar", "diverse"):
        engine, (label,) = asked(verdict(choice), pinned(verdict(choice), []), ["fresh air"])
        assert "Examples" not in engine.prefix + engine.rows[0]
        assert label.value == "fresh"


def test_the_farthest_examples_are_dropped_before_the_row_is_cut():
    answers = [("bbbb", "fresh"), ("zzzz", "rotten")]
    task = verdict()
    question = PreparedTask.of(task, ByteTokenizer(), examples=pinned(task, answers))
    fixed = 8192 - question.encoder.room
    engine, (label,) = asked(task, pinned(task, answers), ["zzy" * 5], context=fixed + 16 + 50)
    assert engine.rows[0] == "\n\nExamples:\n\nText: zzzz\nAnswer: rotten\n\nText: " + "zzy" * 5
    assert label.status == "ok"


def test_a_row_that_fills_the_context_has_no_examples_and_is_cut():
    task = verdict()
    fixed = 8192 - PreparedTask.of(task, ByteTokenizer(), examples=pinned(task, ANSWERS)).encoder.room
    engine, (label,) = asked(task, pinned(task, ANSWERS), ["a" * 500], context=fixed + 100)
    assert engine.rows[0] == "\n\nText: " + "a" * 99
    assert label.status == "truncated"


def test_diverse_examples_take_half_of_the_context_at_most():
    task = verdict("diverse", 4)
    examples = pinned(task, [(text * 30, answer) for text, answer in ANSWERS])
    engine, _ = asked(task, examples, ["new"], context=620)
    assert 1 <= engine.prefix.count("Answer:") < 4


def test_a_prior_beside_similar_examples_is_measured_without_any():
    engine, _ = asked(verdict(prior="content_free"), pinned(verdict(), ANSWERS), ["zzy"])
    assert [text.strip() for text in engine.calls[0]] == ["Text: N/A", "Text: [MASK]", "Text:"]


def test_special_tokens_in_examples_stay_text():
    engine = Spy()
    task = verdict()
    examples = pinned(task, [("<stop> aaaa", "fresh"), ("<user> zzzz", "rotten")])
    labeler = Labeler(task, engine, model="m", examples=examples, open_encoder=Letters)
    labeler.label([["aaa"]])
    assert any(mark in engine.rows[0] for mark in ("<stop>", "<user>"))
