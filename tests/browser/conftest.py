"""A real browser: Debian's chromium, driven by playwright. Without them these tests are skipped, or fail if
SPARKLABEL_BROWSER=1 says that they must be there."""

import os
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sparklabel.demo.browser import sign_in
from tests.browser.reviews import served

CHROMIUM = Path("/usr/bin/chromium")


def _missing():
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return None if CHROMIUM.exists() else f"{CHROMIUM} is not there: apt-get install chromium"


@pytest.fixture(scope="session")
def chromium():
    """The browser."""
    if why := _missing():
        if os.environ.get("SPARKLABEL_BROWSER") == "1":
            pytest.fail(why)
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        yield browser
        browser.close()


class Visitor:
    """Somebody with a browser of their own. What a console says, and which hosts are asked, is kept."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        self.page = self.context.new_page()
        self.console: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.context.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))
        self.page.set_default_timeout(10_000)

    def comes(self, review, name="ann", task="tone"):
        """By the link, with a name, to the review screen, where a row is."""
        page = self.page
        sign_in(page, review.link, name)
        page.goto(f"{review.url}/review/{task}")
        page.locator("#answer").wait_for()
        return page


@pytest.fixture
def serve(tmp_path):
    """Serves a review, as `served` does, until the test ends."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(served(tmp_path, **options))


@pytest.fixture
def visitor(chromium, serve):
    """Makes visitors, who leave before a server ends. None of their consoles may have said anything, and nobody but us
    may have been asked."""
    made = []

    def make(**options):
        made.append(Visitor(chromium, **options))
        return made[-1]

    yield make
    for one in made:
        if not one.page.is_closed():  # what a route still does would fail the next test
            one.page.unroute_all(behavior="ignoreErrors")
        one.context.close()
        assert one.hosts <= {"127.0.0.1"}
        assert one.console == []


def saved(page):
    """Waits until everything is acknowledged, and the page says so."""
    page.locator('#saving[data-waiting="0"]', has_text="All saved").wait_for()


def held(page, routes):
    """Waits until a request is held by a route that appends to `routes`, and takes it from there."""
    for _ in range(1000):
        if routes:
            return routes.pop()
        page.wait_for_timeout(10)
    raise AssertionError("no request came")
