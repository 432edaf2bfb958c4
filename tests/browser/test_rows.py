"""The page of rows: a filter, pages, one answer for all that it finds after a look at ten of them, one undo."""

import pytest

import sparklabel as sl
from tests.browser.reviews import text_row, tone_rows


@pytest.fixture
def axe():
    return pytest.importorskip("axe_playwright_python.sync_playwright").Axe()


@pytest.fixture
def opened(serve):
    return serve(rows=[*tone_rows(4, is_blind=True), *tone_rows(130)[4:]])


def on_rows(opened, one):
    """By the link of the tasks' page. The person is a lead: who has the link is."""
    page = one.page
    page.goto(opened.link)
    page.get_by_label("Name").fill("lee")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("link", name="Rows").click()
    page.locator("#state", has_text="130 rows").wait_for()
    return page


def test_rows_are_filtered_and_come_page_by_page(visitor, opened):
    page = on_rows(opened, visitor())
    assert page.locator("#rows tbody tr").count() == 50
    page.get_by_role("button", name="Next").click()
    page.get_by_text("Page 2 of 3").wait_for()
    page.get_by_label("Model's label").select_option(label="good")
    page.get_by_role("button", name="Show these").click()
    # All four, whatever their label is: how many have it would tell it.
    page.locator("#state", has_text="63 rows. 4 more rows judge the model").wait_for()
    page.get_by_label("Text").fill("number 12")
    page.keyboard.press("Enter")
    page.locator("#state", has_text="6 rows.").wait_for()
    cells = page.locator("#rows tbody tr").first.locator("td").all_inner_texts()
    assert cells == ["text number 12", "good", "80%", "–", "–"]


def test_all_rows_of_a_filter_get_an_answer_after_a_look_at_ten_and_lose_it_by_one_undo(visitor, opened):
    page = on_rows(opened, visitor())
    page.get_by_label("Model's label").select_option(label="good")
    page.get_by_role("button", name="Show these").click()
    page.locator("#state", has_text="63 rows").wait_for()
    page.get_by_role("button", name="One answer for all of these").click()
    page.get_by_role("heading", name="10 of 63 rows, drawn at random").wait_for()
    assert page.locator("#bulk-rows li").count() == 10
    assert page.locator("#bulk-left-out").inner_text() == "Left out: 4 rows that judge the model."
    page.get_by_label("Their answer").select_option(label="bad")
    page.get_by_role("button", name="Give all 63 the answer bad").click()
    page.locator("#state", has_text="63 rows got the answer bad.").wait_for()
    assert set(opened.answers.values()) == {"bad"}
    assert len(opened.answers) == 63
    page.get_by_role("button", name="Take back 63 rows: bad").click()
    page.locator("#state", has_text="63 answers taken back.").wait_for()
    assert opened.kinds == ["answer"] * 63 + ["undo"] * 63


def test_axe_finds_nothing_on_the_page_and_in_its_dialog_light_or_dark(visitor, opened, axe):
    page = on_rows(opened, visitor(bypass_csp=True))

    def violations():
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for one in axe.run(page).response["violations"]:
                yield scheme, one["id"], [node["html"] for node in one["nodes"]]

    assert list(violations()) == []
    page.get_by_role("button", name="One answer for all of these").click()
    page.get_by_role("heading", name="drawn at random").wait_for()
    assert list(violations()) == []
    page.get_by_label("Their answer").select_option(label="good")
    page.get_by_role("button", name="Give all 126").click()
    page.get_by_role("heading", name="Answered in bulk").wait_for()
    assert list(violations()) == []


def test_320_pixels_need_no_sideways_scrolling(visitor, opened):
    page = on_rows(opened, visitor(viewport={"width": 320, "height": 640}))
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_several_labels_are_one_answer_in_bulk(visitor, serve):
    topics = sl.multilabel("topics", inputs="text", labels=["billing", "delivery", "praise"])
    opened = serve(task=topics, rows=[text_row(n, f"text number {n}", value=["billing"]) for n in range(130)])
    page = on_rows(opened, visitor())
    page.get_by_role("button", name="One answer for all of these").click()
    page.get_by_role("button", name="Give all 130 an answer").wait_for()
    page.get_by_label("Their answer").select_option(label="none of them")
    page.get_by_role("button", name="Give all 130 the answer none").wait_for()
    page.get_by_label("Their answer").select_option(label=["praise", "billing"])
    page.get_by_role("button", name="Give all 130 the answer billing, praise").click()
    page.locator("#state", has_text="130 rows got the answer billing, praise.").wait_for()
    assert set(map(tuple, opened.answers.values())) == {("billing", "praise")}
