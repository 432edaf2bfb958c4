"""The pages beside the review: quality, playground, disputes, people."""

import pytest

from tests.browser.reviews import tone_rows
from tests.browser.test_accessibility import axe, violations  # noqa: F401 a fixture

PATHS = ["quality/tone", "playground/tone", "disputes/tone", "people"]


@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing_light_or_dark(visitor, serve, axe, path):  # noqa: F811
    review = serve()
    page = visitor(bypass_csp=True).comes(review)
    page.goto(f"{review.url}/{path}")
    page.get_by_role("heading", level=1).wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(axe, page) == []


@pytest.mark.parametrize("path", PATHS)
def test_pages_fit_320_pixels(visitor, serve, path):
    review = serve()
    page = visitor(viewport={"width": 320, "height": 640}).comes(review)
    page.goto(f"{review.url}/{path}")
    page.get_by_role("heading", level=1).wait_for()
    assert page.locator("html").evaluate("e => e.scrollWidth") <= 320


def test_a_lead_decides_a_dispute_by_key(visitor, serve):
    review = serve(rows=tone_rows(1, is_blind=True), overlap=1.0)
    for name, key in (("ann", "1"), ("bo", "2")):
        page = visitor().comes(review, name=name)
        page.keyboard.press(key)
        page.locator('#saving[data-waiting="0"]').wait_for()
    page.goto(f"{review.url}/disputes/tone")
    page.get_by_text("1 disputed row").wait_for()
    page.keyboard.press("2")
    page.get_by_text("Nothing is disputed.").wait_for()
    assert review.kinds == ["answer", "answer", "resolve"]


def test_a_definition_that_is_wrong_is_told_beside_it(visitor, serve):
    review = serve()
    one = visitor()
    page = one.comes(review)
    page.goto(f"{review.url}/playground/tone")
    page.get_by_label("Task, as YAML").first.fill("kind: [")
    page.get_by_role("button", name="Try").click()
    page.get_by_text("The definition cannot be read").wait_for()
    one.console = [line for line in one.console if "422" not in line]


def test_a_definition_is_saved_as_a_file_which_the_page_then_lets_go(visitor, serve):
    review = serve()
    page = visitor().comes(review)
    page.add_init_script("URL.revoked = 0; URL.revokeObjectURL = () => { URL.revoked += 1; };")
    page.clock.install()
    page.goto(f"{review.url}/playground/tone")
    page.get_by_label("Task, as YAML").first.fill("kind: other")
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as a new file").click()
    assert download.value.path().read_text() == "kind: other"
    assert page.evaluate("URL.revoked") == 0
    page.clock.fast_forward(61_000)
    assert page.evaluate("URL.revoked") == 1
