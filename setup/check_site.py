"""Checks that the built site reads offline: `.venv/bin/python setup/check_site.py site`.

No page may load a script, a style, a font, a picture or a frame from another host, and none may have a diagram that the
theme would fetch a library for. Links that a reader clicks are not looked at.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path

_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_NOT_LOADED = {"canonical", "next", "prev", "alternate"}


class Loads(HTMLParser):
    """What a page loads from other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        address = given.get(_LOADED.get(tag, ""), "")
        if address.startswith(("http:", "https:", "//")) and given.get("rel") not in _NOT_LOADED:
            self.found.append(address)
        if "mermaid" in given.get("class", "").split():
            self.found.append("a mermaid diagram, which the theme draws with a library from a CDN")


def loads(page: str) -> list[str]:
    """What the page's HTML loads from elsewhere."""
    parser = Loads()
    parser.feed(page)
    return parser.found


def main(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    wrong = [
        f"{page.relative_to(site)} loads {found}"
        for page in pages
        for found in loads(page.read_text("utf-8"))
    ]
    if wrong or not pages:
        sys.exit("\n".join(wrong) or f"{site} has no pages")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
