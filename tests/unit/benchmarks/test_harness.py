"""What every benchmark repeats: arguments, and the JSON file with the figures."""

import json
from pathlib import Path

import pytest

from benchmarks.harness import add_texts, argument_parser, figure_table, finish, labeled_texts


def arguments(tmp_path, *given):
    parser = argument_parser("What it measures.", rows=8, rounds=2)
    add_texts(parser)
    return parser.parse_args(["--out", str(tmp_path / "figures.json"), *given])


def test_figures_lie_beside_the_machine_and_the_arguments(tmp_path):
    found = arguments(tmp_path, "--rows", "3")
    finish(found, figure_table("speed", "way", "rows/s"), {"speed": {"ours": 1.5}})
    written = json.loads(found.out.read_text("utf-8"))
    assert written["speed"] == {"ours": 1.5}
    assert written["arguments"]["rows"] == 3
    assert written["machine"]["cores"] >= 1


def test_figures_hold_no_path_of_a_machine(tmp_path):
    found = arguments(tmp_path, "--data", "/somewhere/rows.jsonl")
    finish(found, figure_table("speed", "way"), {})
    assert json.loads(found.out.read_text("utf-8"))["arguments"]["data"] == "rows.jsonl"


def test_a_shortened_option_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        arguments(tmp_path, "--row", "3")
    assert "unrecognized arguments: --row 3" in capsys.readouterr().err


def test_a_text_counts_once(tmp_path):
    rows = [{"text": "same", "label": "a"}, {"text": "same", "label": "b"}, {"text": "other", "label": "b"}]
    data = Path(tmp_path / "rows.jsonl")
    data.write_text("\n".join(map(json.dumps, rows)))
    assert labeled_texts(arguments(tmp_path, "--data", str(data)))[1]["text"].tolist() == ["same", "other"]
