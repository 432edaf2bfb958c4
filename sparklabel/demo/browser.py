"""The demo's people: a scripted person with a real browser, who answers in the review page.

In: a running review, each row's right answer by its key. Out: answers, given by keys as anybody gives them. The browser
is a Chromium of this machine, driven by playwright, without a window.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparklabel.errors import SetupError, SparklabelError
from sparklabel.tasks import Classification
from sparklabel.texts import counted

if TYPE_CHECKING:
    from playwright.sync_api import Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_KEYS = 9
"""Up to so many labels have a digit each; of more, one is found by typing its name."""
_SHOWN = re.compile("^(id |Done|No rows now)")
_PATIENCE_MS = 60_000
_TOLD_EVERY = 50


def chromium() -> Path:
    """The browser. Raises SetupError that says what is missing."""
    missing = [name for name in ("fastapi", "playwright") if find_spec(name) is None]
    if missing:
        raise SetupError(
            f"--people needs packages that are not installed: {', '.join(missing)}.",
            hint="pip install 'sparklabel[review]' playwright",
        )
    named = os.environ.get("CHROMIUM")
    found = next(filter(None, (shutil.which(name) for name in ((named,) if named else _NAMES))), None)
    if found is None:
        looked = named or ", ".join(_NAMES)
        raise SetupError(
            f"--people needs a Chromium, and there is none here: {looked}.",
            hint="On Debian and Ubuntu: apt-get install chromium. Or name one: CHROMIUM=/path/to/it",
        )
    return Path(found)


@dataclass(frozen=True, slots=True)
class Answered:
    """How many rows were answered, and how many of these were shown blind."""

    rows: int
    blind: int


def answer_in_browser(link: str, *told: Any) -> Answered:
    """Answers rows in a browser of its own; the arguments are those of `answer_in_page`, after its page.

    Raises SparklabelError if the page did not show what it should.
    """
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium())
        try:
            return answer_in_page(browser.new_page(), link, *told)
        except Error as error:
            raise SparklabelError(f"The review page did not go on: {error.message}") from None
        finally:
            with suppress(Error):
                browser.close()


def answer_in_page(
    page: "Page",
    link: str,
    task: Classification,
    gold: Mapping[str, str],
    answers: int,
    tell: Callable[[str], None],
) -> Answered:
    """Answers rows as they come, and waits until the server has all of them.

    Args:
        page: A page of the browser.
        link: The review's.
        task: What is asked.
        gold: The right label by the row's `id`.
        answers: How many rows are answered, if there are so many.
        tell: Called with a line about how far it is.
    """
    page.set_default_timeout(_PATIENCE_MS)
    sign_in(page, link, "demo")
    page.goto(f"{link.partition('/?')[0]}/review/{task.name}")
    title, blind, rows = page.locator("#row-title"), 0, 0
    while rows < answers:
        title.filter(has_text=_SHOWN).wait_for()
        shown = title.inner_text()
        if not shown.startswith("id "):
            break
        blind += page.locator(".badge", has_text="Blind").count()
        _choose(page, task.label_names, gold[shown.removeprefix("id ")])
        title.filter(has_not_text=re.compile(f"^{re.escape(shown)}$")).wait_for()
        rows += 1
        if rows % _TOLD_EVERY == 0:
            tell(f"answered {rows:,} of {counted(answers, 'row')}, {blind:,} of them blind")
    page.locator('#saving[data-waiting="0"]').wait_for()
    return Answered(rows, blind)


def sign_in(page: "Page", link: str, name: str) -> None:
    """By the review's link, with a name, to the page of its tasks."""
    page.goto(link)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Start").click()
    page.get_by_role("heading", name="Tasks").wait_for()


def _choose(page: "Page", labels: tuple[str, ...], label: str) -> None:
    if len(labels) <= _KEYS:
        page.keyboard.press(str(labels.index(label) + 1))
        return
    page.keyboard.press("/")
    page.keyboard.insert_text(label)
    page.keyboard.press("Enter")
