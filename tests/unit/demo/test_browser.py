"""What the demo's people need."""

import pytest

from sparklabel.demo import browser
from sparklabel.errors import SetupError


def test_packages_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr(browser, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match="not installed: fastapi, playwright"):
        browser.chromium()


def test_a_browser_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(browser, "find_spec", lambda name: name)
    monkeypatch.setenv("CHROMIUM", "/no/browser")
    with pytest.raises(SetupError, match="there is none here: /no/browser"):
        browser.chromium()


def test_a_browser_can_be_named(monkeypatch):
    monkeypatch.setattr(browser, "find_spec", lambda name: name)
    monkeypatch.setenv("CHROMIUM", "/bin/sh")
    assert str(browser.chromium()) == "/bin/sh"
