"""README, docs and site: snippets are Python with names that exist, links lead somewhere, and nothing is loaded from
elsewhere. tests/spark/test_readme.py runs the snippets."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

import sparklabel

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


def snippets(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "setup" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@every_page
def test_snippets_use_public_names_only(page):
    used = {
        node.attr
        for snippet in snippets(page)
        for node in ast.walk(ast.parse(snippet))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sl"
    }
    assert used - set(sparklabel.__all__) == set()


@every_page
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#:\s]+)[^):]*\)", page.read_text("utf-8"))
    generated = {"lab-notebook.md", "changes.md"}  # pages of the site alone
    assert {link for link in links if not (page.parent / link).exists()} - generated == set()


def test_every_page_is_in_the_navigation():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    shown = set(re.findall(r"[\w/-]+\.md", str(nav)))
    assert {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")} - shown == set()


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 160


def test_files_that_the_code_names_are_there():
    named = {
        (path.name, name)
        for path in (ROOT / "sparklabel").rglob("*.py")
        for name in re.findall(r"\b(?:docs|benchmarks|conf)/[\w/-]+\.\w+", path.read_text("utf-8"))
    }
    assert {(path, name) for path, name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize(
    "loaded",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="https://cdn.example/a.css">',
        '<img src="//cdn.example/a.png">',
        '<pre class="mermaid">graph</pre>',
    ],
)
def test_a_page_that_loads_from_elsewhere_is_found(loaded):
    assert len(load("check_site").loads(f"<html>{loaded}</html>")) == 1


def test_a_link_that_a_reader_clicks_is_not_loaded():
    page = '<link rel="canonical" href="https://example"><a href="https://example">x</a><img src="a.svg">'
    assert load("check_site").loads(page) == []


@pytest.mark.parametrize("settings", sorted((ROOT / "conf").glob("*.conf")), ids=lambda path: path.name)
def test_files_that_settings_name_are_there(settings):
    named = re.findall(r"\b(?:sparklabel|conf|jobs)/[\w./-]+\w", settings.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
