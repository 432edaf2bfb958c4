"""WCAG 2.2 AA, as far as a browser can check it."""

import pytest

import sparklabel as sl
from tests.browser.conftest import saved
from tests.browser.reviews import text_row, tone_rows

TEXT = "Ada Lovelace worked in London."
LABELS = [f"a_rather_long_label_{n}" for n in range(77)]
ADA = {"text": "Ada", "type": "person", "start": 0, "end": 3}
TASKS = {
    "two labels": (sl.classification("tone", inputs="text", labels=["good", "bad"]), [TEXT], "good"),
    "many labels": (sl.classification("tone", inputs="text", labels=LABELS), [TEXT], LABELS[3]),
    "many labels, blind": (sl.classification("tone", inputs="text", labels=LABELS), [TEXT], None),
    "multilabel": (sl.multilabel("tone", inputs="text", labels=["good", "bad"]), [TEXT], ["good"]),
    "matching": (sl.matching("tone", left="a", right="b"), ["one two", "one three"], True),
    "rating": (sl.rating("tone", inputs="text", scale=(1, 5)), [TEXT], 3.2),
    "entities": (sl.entities("tone", inputs="text", types=["person", "place"]), [TEXT], [ADA]),
    "extraction": (
        sl.extraction("tone", inputs="text", fields={"name": "string", "born": "date", "alive": "boolean"}),
        [TEXT], {"name": "Ada", "born": None, "alive": False},
    ),
    "answering": (sl.answering("tone", question="question", context="text", extractive=True), ["Who?", TEXT], "Ada"),
    "generation": (sl.generation("tone", inputs="text", instructions="Say it."), [TEXT], "She worked."),
}  # fmt: skip


def opened(serve, kind):
    task, inputs, value = TASKS[kind]
    return serve(task=task, rows=[text_row(0, *inputs, value=value, is_blind=value is None)], goal=100)


@pytest.fixture(scope="session")
def axe():
    return pytest.importorskip("axe_playwright_python.sync_playwright").Axe()


def violations(axe, page):
    return [
        (one["id"], [node["html"] for node in one["nodes"]]) for one in axe.run(page).response["violations"]
    ]


@pytest.mark.parametrize("kind", TASKS)
def test_axe_finds_nothing_light_or_dark(visitor, serve, axe, kind):
    page = visitor(bypass_csp=True).comes(opened(serve, kind))
    assert violations(axe, page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(axe, page) == []


def test_axe_finds_nothing_on_the_other_pages_and_in_dialogs(visitor, serve, axe):
    review, one = serve(goal=100), visitor(bypass_csp=True)
    one.page.goto(review.link)
    assert violations(axe, one.page) == []
    page = one.comes(review)
    for opener in ("Keys", "Note", "Filter"):
        page.get_by_role("button", name=opener).click()
        assert violations(axe, page) == []
        page.keyboard.press("Escape")
    page.goto(review.url)
    assert violations(axe, page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(axe, page) == []


@pytest.mark.parametrize("kind", TASKS)
def test_320_pixels_need_no_sideways_scrolling(visitor, serve, kind):
    page = visitor(viewport={"width": 320, "height": 640}).comes(opened(serve, kind))
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    small = page.locator("button:visible, input:visible, select:visible").evaluate_all(
        "all => all.filter(e => Math.min(e.getBoundingClientRect().height, e.getBoundingClientRect().width) < 24)"
        ".map(e => e.outerHTML)"
    )
    assert small == []


def test_a_whole_review_needs_a_keyboard_alone(visitor, serve):
    review, one = serve(rows=tone_rows(4)), visitor()
    page = one.page
    page.goto(review.link)
    page.keyboard.type("ann")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Tasks").wait_for()
    for _ in range(3):  # the skip link, the home link, the task
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#answer").wait_for()
    for key in ("1", "Enter", "s", "u", "2", "f", "Enter"):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == "texts"
    page.locator("#row-title", has_text="Done").or_(page.locator("#row-title", has_text="No rows")).wait_for()
    saved(page)
    assert review.answers == {"row-0": "good", "row-1": "bad", "row-2": "bad", "row-3": "bad"}


def test_a_label_is_reached_by_tab_and_its_focus_is_visible(visitor, serve):
    page = visitor().comes(serve())
    page.keyboard.press("Tab")
    focused = page.get_by_role("button", name="1 good")
    assert (
        focused.evaluate("e => e === document.activeElement && getComputedStyle(e).outlineStyle") == "solid"
    )
    page.keyboard.press("Space")
    assert page.locator("#texts").inner_text() == "text number 1"


def test_a_new_row_is_announced(visitor, serve):
    page = visitor().comes(serve())
    page.keyboard.press("1")
    page.locator("[aria-live=polite]", has_text="id 1. text number 1").wait_for(state="attached")


def test_a_page_has_landmarks_and_one_first_heading(visitor, serve):
    page = visitor().comes(serve())
    assert [page.get_by_role(role).count() for role in ("banner", "main", "complementary")] == [1, 1, 1]
    assert page.get_by_role("heading", level=1).all_inner_texts() == ["tone"]
    page.keyboard.press("Shift+Tab")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_nothing_moves_for_who_wants_no_motion(visitor, serve):
    page = visitor(reduced_motion="reduce").comes(serve())
    moving = "all => all.filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length"
    assert page.locator("*").evaluate_all(moving) == 0
