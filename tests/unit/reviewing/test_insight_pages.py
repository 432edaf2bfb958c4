"""The pages about quality and the playground: what they show, and what they refuse."""

import asyncio
from types import SimpleNamespace

import pytest

from tests.unit.reviewing.reviews import event, review, rows_of, send, text_rows

YAML = "kind: classification\nname: tone\ninputs: text\nlabels: [good, bad]\n"
TRIAL = {"definition": YAML, "model": "m", "rows": [["a text"]]}


@pytest.fixture
def opened(tmp_path):
    with review(tmp_path, rows=text_rows(60), audit_share=1.0) as found:
        yield found


@pytest.fixture
def ann(opened):
    return opened.person("ann")


def test_quality_without_an_audited_row_says_so(ann):
    page = ann.get("/quality/tone")
    assert page.status_code == 200
    assert "No audited row has an answer in the table yet" in page.text


def test_quality_shows_how_right_the_model_is_once_answers_are_in_the_table(opened, ann):
    for number, row in enumerate(rows_of(ann, 4)):
        send(ann, event(row["id"], "good", number=number))
    asyncio.run(opened.state.flush())
    page = ann.get("/quality/tone").text
    assert "of 4 audited rows" in page
    assert "<script" not in page.replace('<script type="module"', "")


def test_quality_says_what_the_probe_lacks(opened, ann):
    opened.state.probes["tone"] = SimpleNamespace(
        status=lambda: "The encoder is not installed.", close=lambda: None
    )
    assert "The encoder is not installed." in ann.get("/quality/tone").text


@pytest.mark.parametrize(("chart", "status"), [("accuracy", 200), ("reliability", 200), ("theirs", 404)])
def test_charts_are_svg_by_name(ann, chart, status):
    answer = ann.get(f"/quality/tone/{chart}.svg")
    assert answer.status_code == status
    assert status != 200 or answer.headers["content-type"] == "image/svg+xml"


def test_quality_says_when_the_table_does_not_answer(opened, ann):
    opened.table.failure = OSError("gone")
    answer = ann.get("/quality/tone")
    assert (answer.status_code, "The table does not answer" in answer.text) == (503, True)


def test_the_playground_begins_with_the_task_and_rows_of_the_table(ann):
    page = ann.get("/playground/tone").text
    assert "kind: classification" in page
    assert "text 1" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"definition": "kind: ["}, "The definition cannot be read"),
        ({"definition": "- a"}, "The definition is not a task"),
        ({"definition": "kind: clasification"}, "no task kind 'clasification'; did you mean classification"),
        ({"rows": [["a", "b"]]}, "A row has 2 texts"),
        ({"rows": [["a"]] * 21}, "rows"),
        ({"model": ""}, "model"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_the_reason(ann, change, message):
    answer = ann.post("/playground/tone/run", json=TRIAL | change)
    assert answer.status_code == 422
    assert message in answer.json()["message"]
