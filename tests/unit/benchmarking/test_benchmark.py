"""`benchmark`: cells by set, model and number of answers, which are kept; a table, charts and a page of them."""

import json
from dataclasses import replace

import pytest

import sparklabel as sl
from sparklabel.benchmarking import run as run_module
from sparklabel.benchmarking.cells import Cell, keep_cell, kept_cell
from sparklabel.benchmarking.charts import draw_charts
from sparklabel.benchmarking.entries import named_entries
from sparklabel.benchmarking.page import html_page
from sparklabel.benchmarking.report import BenchmarkReport
from sparklabel.benchmarking.suite import DataSet, Published
from sparklabel.errors import SetupError

TONE = {"kind": "classification", "name": "tone", "inputs": ["text"], "labels": ["calm", "angry"]}


def rows(first, last):
    return [
        {"text": f"{label} day {n}", "gold": label} for n in range(first, last) for label in TONE["labels"]
    ]


@pytest.fixture
def suite(tmp_path, store, monkeypatch):
    """A folder with one set, `tones`, whose rows name their label."""
    folder = tmp_path / "suite"
    folder.mkdir()
    for name, found in (("train", rows(0, 20)), ("test", rows(20, 30))):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, found)), "utf-8")
    add(folder, "tones")
    monkeypatch.chdir(tmp_path)
    return folder


def add(folder, name, **fields):
    found = {"task": TONE, "answer": "gold", "train": "train.jsonl", "test": "test.jsonl"} | fields
    (folder / f"{name}.yaml").write_text(json.dumps(found), "utf-8")


FAKE = {"model": "m", "engine": "fake"}


def test_a_model_is_measured_on_each_set(suite):
    report = sl.benchmark(suite, models=[FAKE])
    [cell] = report.cells
    assert (cell.set_name, cell.entry, cell.answers, cell.value, cell.error) == ("tones", "m", 0, 1.0, "")
    assert cell.low < 1 == cell.high
    assert len(cell.said) == 20
    assert {path.name for path in report.folder.iterdir()} == {
        "cells", "table.csv", "page.html", "quality.png", "quality.svg",
    }  # fmt: skip


def test_answers_teach(suite):
    report = sl.benchmark(
        suite, models=[{"model": sl.DEFAULT, "method": "classifier"}], answers=[10, 40, 5000]
    )
    assert [(cell.answers, cell.value > 0.8) for cell in report.cells] == [(10, True), (40, True)]
    assert report.cells[0].train_seconds > 0
    assert report.cells[0].kind == f"{sl.DEFAULT}, classifier, 10 answers"
    assert {"gain.svg", "learning.svg"} <= {path.name for path in report.folder.iterdir()}


def test_a_set_with_fewer_answers_stands_beside_the_others():
    few, many = replace(CELL, answers=40, wanted=600), replace(CELL, answers=600, wanted=600)
    assert few.kind == many.kind == "<m>, 600 answers"
    assert few.answered_by == "<m>, 600 answers (40 in all)"


def test_what_was_measured_is_not_measured_again(suite, monkeypatch):
    first = sl.benchmark(suite, models=[FAKE])
    monkeypatch.setattr(run_module, "untrained", lambda question: pytest.fail("asked again"))
    assert sl.benchmark(suite, models=[FAKE]).cells == first.cells


def test_other_rows_another_model_and_other_options_are_other_cells(suite):
    for models in ([FAKE], [FAKE | {"model": "n"}], [FAKE | {"options": {"fail_on": "zzz"}}]):
        sl.benchmark(suite, models=models)
    sl.benchmark(suite, models=[FAKE], rows=5)
    assert len(list((suite.parent / "benchmark" / "cells").iterdir())) == 4


def test_a_model_that_fails_has_a_cell_that_says_why_and_the_others_go_on(suite):
    report = sl.benchmark(suite, models=["/none", FAKE])
    assert [bool(cell.error) for cell in report.cells] == [True, False]
    assert "/none" in report.failed[0].error
    assert "failed: tones, /none, zero-shot: " in str(report)


def test_a_classifier_of_written_answers_has_a_cell_that_says_why(suite):
    add(suite, "tones", task={"kind": "answering", "name": "tone", "inputs": ["text", "gold"]}, metric="f1")
    report = sl.benchmark(suite, models=[{"model": sl.DEFAULT, "method": "classifier"}], answers=[10])
    assert "answers to a task of kind 'answering' are written" in report.failed[0].error


def test_a_model_behind_http_is_not_taught(suite):
    assert [cell.answers for cell in sl.benchmark(suite, models=[FAKE], answers=[0, 10]).cells] == [0]


def test_test_rows_among_the_training_rows_are_refused_unless_allowed(suite):
    add(suite, "leaking", train="test.jsonl")
    asked = {"models": [{"model": sl.DEFAULT, "method": "classifier"}], "only": ["leaking"], "answers": [10]}
    with pytest.raises(SetupError, match="20 of 20 test rows of the data set 'leaking'"):
        sl.benchmark(suite, **asked)
    assert sl.benchmark(suite, allow_shared=True, **asked).cells[0].value


@pytest.mark.parametrize("metric", ["bleu", "n"])
def test_a_metric_that_is_no_share_is_named(suite, metric):
    add(suite, "tones", metric=metric)
    [cell] = sl.benchmark(suite, models=[FAKE]).cells
    assert cell.error == f"{metric!r} is not a metric of classification tasks, or not one from 0 to 1."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"answers": [-1]}, "are not whole numbers"),
        ({"answers": []}, "are not whole numbers"),
        ({"rows": 0}, "rows=0 is not"),
        ({"only": ["tone"]}, "has no data set 'tone'"),
        ({"models": []}, "names no model"),
        ({"models": [FAKE, FAKE]}, "Two of the models are called 'm, lora'"),
        ({"models": [{"modl": "m"}]}, "has no field 'modl'; did you mean model"),
        ({"models": [{"engine": "fake"}]}, "names no model"),
        ({"models": [5]}, "model=5 is not a reference"),
        ({"models": [FAKE | {"method": "sft"}]}, "has no method 'sft'"),
        ({"models": [FAKE | {"tune_encoder": True}]}, "method='lora' trains no classifier"),
        ({"models": [FAKE | {"options": {"fail": 1}}]}, "fail"),
        ({"allow_shared": "no"}, "allow_shared='no' is neither"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(suite, options, message):
    with pytest.raises(SetupError, match=message):
        sl.benchmark(suite, **{"models": [FAKE]} | options)


def test_models_are_named_by_what_differs():
    assert [one.name for one in named_entries(["a", "b"])] == ["a", "b"]
    both = named_entries(["a", {"model": "a", "method": "auto"}, {"model": "a", "name": "mine"}])
    assert [one.name for one in both] == ["a, lora", "a, auto", "mine"]
    tuned = {"model": "a", "method": "classifier", "tune_encoder": True}
    assert named_entries([tuned])[0].name == "a, classifier and its encoder"


CELL = Cell(
    set_name="tones", entry="<m>", answers=0, metric="accuracy", value=0.5, low=0.4, high=0.6, cost_per_1000_rows=0.25,
    figures={"completion_rate": 0.9, "ece": 0.1},
)  # fmt: skip


def test_a_cell_is_read_as_it_was_kept_and_half_of_one_is_none(tmp_path):
    keep_cell(CELL, tmp_path / "cell.json")
    assert kept_cell(tmp_path / "cell.json") == replace(CELL, said=[])
    (tmp_path / "cell.json").write_text((tmp_path / "cell.json").read_text()[:50])
    assert kept_cell(tmp_path / "cell.json") is None


def test_the_table_leaves_out_columns_without_a_figure(tmp_path):
    lines = str(BenchmarkReport(cells=[CELL], folder=tmp_path, run_id="r")).splitlines()
    assert lines[0].split("  ")[0] == "set"
    assert "AUROC" not in lines[0]
    assert "50.0" in lines[1]
    assert "40.0 to 60.0" in lines[1]
    assert "0.250" in lines[1]


def test_the_page_has_charts_figures_sources_and_errors_as_text():
    sets = {
        "tones": DataSet(
            task={},
            answer="a",
            test="t",
            source="<here>",
            published={"GPT": Published(value=81.5, source="a & b")},
        )
    }
    failed = replace(CELL, value=None, low=None, high=None, error="no <memory>")
    page = html_page("mine", [CELL, failed], sets, draw_charts([CELL], {"tones": sets["tones"].published}))
    assert page.count("<svg") == 1
    assert "&lt;m&gt;" in page
    assert "no &lt;memory&gt;" in page
    assert "&lt;here&gt;; GPT 81.5 accuracy (a &amp; b)" in page


def test_equal_cells_are_equal_charts():
    assert draw_charts([CELL], {})["quality.png"] == draw_charts([CELL], {})["quality.png"]
