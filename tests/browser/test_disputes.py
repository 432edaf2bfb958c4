"""The page of disputes: one press decides one row, which the lead has seen."""

import pytest

import sparklabel as sl
from tests.browser.conftest import held, saved
from tests.browser.reviews import text_row

SAME = sl.matching("same", left=["left_name"], right=["right_name"])


@pytest.fixture
def review(serve):
    rows = [text_row(n, f"left {n}", f"right {n}", is_blind=True) for n in range(3)]
    return serve(task=SAME, rows=rows, overlap=1.0)


@pytest.fixture
def page(visitor, review):
    """Ann and Bo are divided on three rows. As on plain http, the browser has no `randomUUID`."""
    for name, key in (("ann", "y"), ("bo", "n")):
        one = visitor()
        one.context.add_init_script("delete Crypto.prototype.randomUUID")
        page = one.comes(review, name=name, task="same")
        for _ in range(3):
            page.keyboard.press(key)
        saved(page)
    page.goto(f"{review.url}/disputes/same")
    page.get_by_text("3 disputed rows").wait_for()
    return page


def test_a_double_click_decides_one_row(page, review):
    box = page.get_by_role("button", name="yes").bounding_box()
    page.mouse.dblclick(box["x"] + 20, box["y"] + box["height"] / 2, delay=200)
    page.get_by_text("2 disputed rows").wait_for()
    page.wait_for_timeout(300)
    assert review.kinds.count("resolve") == 1


def test_a_key_that_is_held_down_decides_one_row(page, review):
    page.keyboard.down("1")
    page.get_by_text("2 disputed rows").wait_for()
    page.keyboard.down("1")
    page.keyboard.down("1")
    page.wait_for_timeout(300)
    assert review.kinds.count("resolve") == 1
    page.keyboard.up("1")
    page.keyboard.press("1")
    page.get_by_text("1 disputed row").wait_for()
    assert review.kinds.count("resolve") == 2


def test_a_second_press_while_the_first_is_on_its_way_decides_nothing(page, review):
    routes = []
    page.route("**/events", lambda route: routes.append(route))
    page.keyboard.press("2")
    page.keyboard.press("2")
    page.locator("#dispute button").first.click()
    route = held(page, routes)
    page.wait_for_timeout(100)
    body = route.request.post_data_json
    assert (body["reviewer"], body["events"][0]["before"]) == ("bo", None)
    route.continue_()
    page.get_by_text("2 disputed rows").wait_for()
    assert routes == []
    assert review.kinds.count("resolve") == 1


def test_votes_are_yes_and_no(page):
    names = page.locator("#dispute button bdi").all_inner_texts()
    assert sorted(names) == ["no", "yes"]
