"""README's Python snippets run as they are written, in order, in one namespace, with the real embedded model."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def after(spark, tmp_path_factory):
    """The namespace that the snippets leave; what they write goes to a temporary folder."""
    names: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("readme"))
        for snippet in SNIPPETS:
            exec(compile(snippet, "README.md", "exec"), names)
        yield names
    spark.sql("DROP TABLE IF EXISTS tickets")


def test_every_ticket_with_text_is_labelled(spark, after):
    rows = spark.sql("SELECT id, intent, intent_label.status FROM tickets").collect()
    assert {row.id for row in rows if row.status == "ok" and row.intent} == set(range(1, 11))
    assert [row.status for row in rows if row.id == 11] == ["empty_input"]


def test_corrections_and_confirmations_are_answers(spark, after):
    rows = spark.sql("SELECT id, intent FROM tickets WHERE intent_label.source = 'human'").collect()
    assert {row.id for row in rows} == set(range(1, 10))
    assert {row.id: row.intent for row in rows if row.id in (2, 4)} == {2: "new_card", 4: "lost_card"}


def test_the_task_file_is_the_task(after, tmp_path):
    (tmp_path / "intent.yaml").write_text(after["intent"].to_yaml())
    assert after["sl"].load_task(tmp_path / "intent.yaml") == after["intent"]


def test_links_lead_to_files():
    links = {
        link
        for link in re.findall(r"\]\(([^)#:]+)\)", README)
        if not (Path(__file__).parents[2] / link).exists()
    }
    assert links == set()
