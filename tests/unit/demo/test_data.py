"""What the demo reads, and how it says that a file is not fit for it."""

import json

import pytest

from sparklabel.demo.data import read_jsonl, split_rows
from sparklabel.errors import SparklabelError

GOOD = json.dumps({"text": "fine", "label": "a"})


def read(tmp_path, *lines, encoding="utf-8"):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines), encoding)
    return read_jsonl(path, "text", "label")


def test_lines_become_rows_and_their_labels_the_tasks(tmp_path):
    task, frame = read(tmp_path, GOOD, "", json.dumps({"text": "bad", "label": 2}))
    assert (task.label_names, frame["text"].tolist(), frame["gold"].tolist()) == (
        ("2", "a"), ["fine", "bad"], ["a", "2"],
    )  # fmt: skip


def test_a_byte_order_mark_is_no_text(tmp_path):
    assert len(read(tmp_path, GOOD, encoding="utf-8-sig")[1]) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        ('{"text": "x"}', "line 2: the field 'label' is missing or null; there are text"),
        ('{"text": null, "label": "a"}', "line 2: the field 'text' is missing or null"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path, line, message):
    with pytest.raises(SparklabelError, match=message):
        read(tmp_path, GOOD, line)


def test_too_few_texts_to_set_a_test_part_aside_is_said(tmp_path):
    rows = (json.dumps({"text": f"row {n % 10}", "label": "ab"[n % 2]}) for n in range(600))
    with pytest.raises(SparklabelError, match="There are 10 different texts, and the demo sets 500"):
        split_rows(read(tmp_path, *rows), rows=1500, answers=800)
