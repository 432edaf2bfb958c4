"""What is done to a row and not sent yet: a flag, a note and a half-made answer stay with the row while a person looks
at others."""

import pytest

import sparklabel as sl
from tests.browser.conftest import saved
from tests.browser.reviews import text_row

TEXT = "Ada met Bo in Rome."
FIELDS = {"name": "string", "age": "integer"}
TASKS = {
    "multilabel": (sl.multilabel("t", inputs="text", labels=["a", "b", "c"]), ["a"]),
    "entities": (sl.entities("t", inputs="text", types=["person"]), []),
    "extraction": (sl.extraction("t", inputs="text", fields=FIELDS), {"name": "Ada", "age": None}),
    "generation": (sl.generation("t", inputs="text", instructions="Sum it up."), "A text."),
    "rating": (sl.rating("t", inputs="text", scale=list(range(20))), 3),
}


@pytest.fixture
def review(serve):
    return serve()


@pytest.fixture
def page(visitor, review):
    return visitor().comes(review)


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def with_flag_and_note(page):
    press(page, "f", "n")
    page.keyboard.type("odd")
    press(page, "Control+Enter")


def badges(page):
    return [text for text in page.locator("#badges .badge").all_inner_texts() if "Suggested" not in text]


def test_a_flag_and_a_note_survive_arrows(page, review):
    press(page, "1")
    with_flag_and_note(page)
    press(page, "ArrowLeft")
    assert badges(page) == ["You answered it"]
    press(page, "ArrowRight")
    assert badges(page) == ["Flagged", "Note: odd"]
    press(page, "1")
    assert badges(page) == []
    saved(page)
    assert [(e.input_hash, e.kind, e.note) for e in review.state.journal.events()] == [
        ("row-0", "answer", None), ("row-1", "flag", "odd"), ("row-1", "answer", "odd"),
    ]  # fmt: skip


def test_a_flag_and_a_note_survive_an_undo_of_the_row_before(page, review):
    press(page, "1")
    with_flag_and_note(page)
    press(page, "u")
    assert badges(page) == []
    press(page, "1")
    assert badges(page) == ["Flagged", "Note: odd"]


def test_a_flag_of_a_row_that_is_not_on_the_screen_is_not_lost_with_the_page(page, review):
    press(page, "1")
    saved(page)
    press(page, "f", "ArrowLeft")
    page.reload()
    page.locator("#texts", has_text="text number 1").wait_for()
    saved(page)
    assert [(e.input_hash, e.kind) for e in review.state.journal.events()] == [
        ("row-0", "answer"), ("row-1", "flag"),
    ]  # fmt: skip


def multilabel(page):
    press(page, "1", "3")
    return ["c"]


def entities(page):
    press(page, "w", "1")
    return [{"text": "Ada", "type": "person", "start": 0, "end": 3}]


def extraction(page):
    page.get_by_label("Age", exact=True).fill("36")
    return {"name": "Ada", "age": 36}


def generation(page):
    page.get_by_label("The answer").fill("Another text.")
    return "Another text."


def rating(page):
    page.get_by_label("A number from").fill("12")
    return 12


@pytest.mark.parametrize("make", [multilabel, entities, extraction, generation, rating])
def test_a_half_made_answer_survives_arrows(visitor, serve, make):
    task, value = TASKS[make.__name__]
    review = serve(task=task, rows=[text_row(n, TEXT, value=value) for n in range(3)])
    page = visitor().comes(review, task="t")
    press(page, "s")
    made = make(page)
    page.locator("#texts").focus()
    press(page, "ArrowLeft", "ArrowRight", "Enter")
    saved(page)
    assert review.answers == {"row-1": made}


def test_a_half_made_answer_is_not_shown_as_the_one_that_was_sent(visitor, serve):
    task, value = TASKS["multilabel"]
    page = visitor().comes(
        serve(task=task, rows=[text_row(n, TEXT, value=value) for n in range(3)]), task="t"
    )
    press(page, "Enter", "ArrowLeft", "3")
    page.get_by_role("button", name="Send 2").wait_for()
    press(page, "ArrowRight", "ArrowLeft")
    page.get_by_role("button", name="Send 1").wait_for()


@pytest.mark.parametrize("extractive", [True, False])
def test_half_an_answer_to_a_question_survives_arrows(visitor, serve, extractive):
    task = sl.answering("t", question="question", context="policy", extractive=extractive)
    review = serve(task=task, rows=[text_row(n, "Who?", TEXT, value="Bo") for n in range(3)])
    page = visitor().comes(review, task="t")
    press(page, "s", "b")
    press(page, "ArrowLeft", "ArrowRight", "Enter")
    saved(page)
    assert review.answers == {"row-1": "met"}
