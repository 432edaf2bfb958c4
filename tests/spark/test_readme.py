"""The Python snippets of README and docs run as they are written, in order, with the real embedded model.

A page's snippets share one namespace. README and the guide's first page start from nothing; the other pages go on where
that page ended, with its `spark`, `tickets` and `intent`. A snippet behind `<!-- not run: WHY -->` is only compiled.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SNIPPET = re.compile(r"^(<!-- not run: .+ -->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
START = ROOT / "docs" / "guide" / "getting-started.md"
GOES_ON = [
    page
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if page != START and any(not skipped for skipped, _ in SNIPPET.findall(page.read_text("utf-8")))
]

pytestmark = pytest.mark.model


def run(page, names):
    """Runs a page's snippets in a namespace."""
    for skipped, snippet in SNIPPET.findall(page.read_text("utf-8")):
        code = compile(snippet, page.name, "exec")
        if not skipped:
            exec(code, names)
    return names


@pytest.fixture(scope="module")
def room(spark, tmp_path_factory, new_mlflow_store):
    """A folder of its own for what the snippets write."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("docs")
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", new_mlflow_store(folder))
        yield folder
    spark.sql("DROP TABLE IF EXISTS tickets")


@pytest.fixture(scope="module")
def started(spark, room):
    """The namespace that the guide's first page leaves."""
    spark.sql("DROP TABLE IF EXISTS tickets")
    return run(START, {})


def test_readme_labels_and_learns(spark, room, capsys):
    spark.sql("DROP TABLE IF EXISTS tickets")
    run(ROOT / "README.md", {})
    rows = spark.sql("SELECT intent_label.status, intent_label.source FROM tickets").collect()
    assert {tuple(row) for row in rows} == {("ok", "human")}
    assert "gate: inconclusive" in capsys.readouterr().out


def test_every_ticket_with_text_is_labeled(spark, started):
    rows = spark.sql("SELECT id, intent, intent_label.status FROM tickets").collect()
    assert {row.id for row in rows if row.status == "ok" and row.intent} == set(range(1, 11))
    assert [row.status for row in rows if row.id == 11] == ["empty_input"]


def test_corrections_and_confirmations_are_answers(spark, started):
    rows = spark.sql("SELECT id, intent FROM tickets WHERE intent_label.source = 'human'").collect()
    assert {row.id for row in rows} == set(range(1, 10))
    assert {row.id: row.intent for row in rows if row.id in (2, 4)} == {2: "new_card", 4: "lost_card"}


def test_the_task_file_is_the_task(started, tmp_path):
    (tmp_path / "intent.yaml").write_text(started["intent"].to_yaml())
    assert started["sl"].load_task(tmp_path / "intent.yaml") == started["intent"]


@pytest.mark.parametrize("page", GOES_ON, ids=[str(page.relative_to(ROOT)) for page in GOES_ON])
def test_the_snippets_of_a_page_run(started, page):
    run(page, dict(started))
