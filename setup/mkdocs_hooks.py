"""Brings files from outside docs/ into the site: the lab notebook and the changes become pages.

In: the files of docs/ and their Markdown. Out: the same with these pages, and with links to them that work on the site
as they do in the repository.
"""

import posixpath
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[1]
_PAGES = {"benchmarks/LOG.md": "lab-notebook.md", "CHANGELOG.md": "changes.md"}


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that lie elsewhere."""
    for source, page in _PAGES.items():
        text = (_ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=text.replace("](../docs/", "](")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to these files lead to their pages."""
    folder = posixpath.dirname(page.file.src_uri)
    for source, target in _PAGES.items():
        repository = posixpath.relpath(source, posixpath.join("docs", folder))
        markdown = markdown.replace(f"]({repository}", f"]({posixpath.relpath(target, folder or '.')}")
    return markdown
