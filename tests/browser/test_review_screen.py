"""The review screen: one key answers, and what else keys do."""

import re

import pytest

from tests.browser.conftest import saved
from tests.browser.reviews import text_row, tone_rows

TEXTS = "#texts"


@pytest.fixture
def review(serve):
    return serve()


@pytest.fixture
def page(visitor, review):
    return visitor().comes(review)


def shown(page):
    return page.locator(TEXTS).inner_text()


def test_one_key_answers_and_shows_the_next_row(page, review):
    page.keyboard.press("2")
    assert shown(page) == "text number 1"
    saved(page)
    assert review.answers == {"row-0": "bad"}


def test_enter_takes_the_suggestion(page, review):
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    saved(page)
    assert review.answers == {"row-0": "good", "row-1": "bad"}
    assert [event.shown.value for event in review.state.journal.events()] == ["good", "bad"]


def test_a_click_answers_and_leaves_the_focus_on_the_row(page, review):
    page.get_by_role("button", name="2 bad").click()
    page.keyboard.press("Enter")  # the suggestion of the next row, not the button once more
    saved(page)
    assert review.answers == {"row-0": "bad", "row-1": "bad"}
    assert page.evaluate("document.activeElement.id") == "texts"


def test_more_rows_come_before_the_last_one_is_answered(page, review):
    for _ in range(45):
        page.keyboard.press("1")
        page.locator("#row-title").filter(has_text="id").wait_for(timeout=1000)
    saved(page)
    assert len(review.answers) == 45
    assert shown(page) == "text number 45"


def test_a_key_that_is_held_down_answers_one_row(page, review):
    page.keyboard.down("1")
    page.keyboard.down("1")
    page.keyboard.down("1")
    assert shown(page) == "text number 1"


def test_undo_shows_the_row_again_and_takes_the_answer_back(page, review):
    page.keyboard.press("2")
    page.keyboard.press("u")
    assert shown(page) == "text number 0"
    saved(page)
    assert review.kinds == ["answer", "undo"]
    page.keyboard.press("1")
    assert shown(page) == "text number 1"


def test_a_skipped_row_can_be_taken_back_too(page, review):
    page.keyboard.press("s")
    page.keyboard.press("u")
    saved(page)
    assert review.kinds == ["skip", "undo"]
    assert page.locator("#notice").is_hidden()


def test_arrows_go_back_to_an_answer_that_can_be_changed(page, review):
    page.keyboard.press("1")
    page.keyboard.press("1")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert shown(page) == "text number 0"
    page.get_by_role("button", name="1 good your answer").wait_for()
    page.keyboard.press("2")
    assert shown(page) == "text number 2"  # back at the row that waited
    saved(page)
    assert review.answers == {"row-0": "bad", "row-1": "good"}


def test_answers_of_an_earlier_visit_can_be_undone(page, review):
    page.keyboard.press("1")
    saved(page)
    with page.expect_response("**/mine"):
        page.reload()
    page.locator("#answer").wait_for()
    page.keyboard.press("u")
    page.locator(TEXTS, has_text="text number 0").wait_for()
    saved(page)
    assert review.kinds == ["answer", "undo"]


def test_a_flag_and_a_note_go_with_the_answer(page, review):
    page.keyboard.press("f")
    page.keyboard.press("n")
    page.keyboard.type("{{ 7*7 }} <b>odd</b>")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Note: {{ 7*7 }} <b>odd</b>").wait_for()
    page.keyboard.press("1")
    saved(page)
    flag, answer = review.state.journal.events()
    assert (flag.kind, answer.note) == ("flag", "{{ 7*7 }} <b>odd</b>")


def test_a_key_can_be_changed_and_keys_can_be_switched_off(page, review):
    page.keyboard.press("?")
    page.get_by_role("button", name="Change the key: Skip the row").click()
    page.keyboard.press("k")
    page.get_by_label("Single keys act at once").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    page.keyboard.press("1")
    assert shown(page) == "text number 0"
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Single keys act at once").check()
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    assert shown(page) == "text number 1"
    page.reload()  # it is remembered
    page.locator("#answer").wait_for()
    page.get_by_role("button", name="k Skip").wait_for()


def test_guidelines_are_shown_and_hidden_by_a_key(page):
    guidelines = page.get_by_role("complementary", name="Guidelines")
    assert "the writer complains" in guidelines.inner_text()
    page.keyboard.press("g")
    assert guidelines.is_hidden()


def test_a_filter_says_that_its_rows_judge_no_model(page):
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Text").fill("number 31")
    page.get_by_role("button", name="Show these").click()
    page.locator(TEXTS, has_text="text number 31").wait_for()
    assert "judge" in page.locator("#notice").inner_text()


def test_a_blind_row_shows_no_suggestion_and_enter_answers_nothing(visitor, serve):
    review = serve(rows=tone_rows(30, is_blind=True))
    page = visitor().comes(review)
    assert "suggested" not in page.locator("main").inner_text().lower()
    page.keyboard.press("Enter")
    assert shown(page) == "text number 0"
    page.get_by_role("alert").filter(has_text="choose a label").wait_for()
    page.keyboard.press("1")
    saved(page)
    (answer,) = review.state.journal.events()
    assert (answer.reason, answer.shown.by) == ("audit", "none")


def test_the_row_on_the_screen_keeps_its_suggestion(page, review):
    """Suggestions that came with an acknowledgement are for the rows behind it."""
    page.route("**/events", _with_other_suggestions)
    page.keyboard.press("1")
    saved(page)
    before = page.get_by_role("button", name="suggested").inner_text()
    page.keyboard.press("1")
    assert "bad" in before
    page.get_by_role("button", name="bad suggested 99%").wait_for()


def _with_other_suggestions(route):
    response = route.fetch()
    content = response.json()
    other = {"value": "bad", "confidence": 0.99, "by": "probe", "choices": []}
    content["suggestions"] = {f"row-{n}": other for n in range(2, 30)}
    route.fulfill(response=response, json=content)


def test_no_rows_says_so(visitor, serve):
    review = serve(rows=[])
    one = visitor()
    page = one.page
    page.goto(review.link)
    page.get_by_label("Name").fill("ann")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("heading", name="Tasks").wait_for()
    page.goto(f"{review.url}/review/tone")
    page.locator(TEXTS, has_text="There are no rows to review").wait_for()


@pytest.mark.parametrize(
    ("row", "badge"),
    [
        (text_row(0, "a text", value="bad", source="human", reviewer="pat"), "Answered before by pat: bad"),
        (text_row(0, "a text", value="bad", source="human"), "Answered before: bad"),
        (
            text_row(0, "a text", value="bad", source="human", reviewer="pat", is_blind=True),
            "Answered before by pat",
        ),
    ],
)
def test_whose_answer_the_row_has_is_shown_and_to_who_judges_blind_not_which(serve, visitor, row, badge):
    review = serve(rows=tone_rows(3), flush_every=1.0)
    review.table.rows["tone"]["row-0"] = row
    page = visitor().comes(review)
    page.keyboard.press("1")
    shown_again = page.locator(".badge", has_text=re.compile(f"^{badge}$"))
    for _ in range(100):  # the next flush finds it
        page.wait_for_timeout(100)
        page.reload()
        page.locator("#answer").wait_for()
        if shown_again.count():
            break
    assert shown_again.count() == 1
