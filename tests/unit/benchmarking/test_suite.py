"""Suites: each YAML is a data set, and a row becomes inputs and a right answer. Errors name the file or the set."""

import json
from pathlib import Path

import pytest

from sparklabel.benchmarking.suite import DataSet, load_suite, read_set, split_table
from sparklabel.errors import SetupError
from sparklabel.tasks import KINDS

CONF = Path(__file__).parents[3] / "conf" / "benchmark"
SUITE = load_suite(CONF) | load_suite(CONF / "more")
NAMES = sorted(SUITE)
ROWS = {
    "classification": [{"label": "a"}, {"label": "b"}],
    "multilabel": [{"labels": ["a"]}, {"labels": ["b"]}],
    "entities": [{"entities": [{"text": "Ada", "type": "a"}]}],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_names_a_task(name):
    found = SUITE[name]
    assert found.build_task(ROWS.get(found.task["kind"], [])).kind == found.task["kind"]


def test_there_is_a_data_set_for_every_kind_but_free_text():
    assert {SUITE[name].task["kind"] for name in NAMES} == set(KINDS) - {"generation"}


def test_labels_that_are_left_out_are_those_that_occur():
    assert SUITE["banking77"].build_task(ROWS["classification"]).answer_mode.signature == ("a", "b")


def test_a_match_is_true():
    found = SUITE["abt_buy"]
    task = found.build_task([])
    assert found.build_row(task, {"left_name": "lamp", "label": "match"}) == (
        ("lamp", "", "", "", "", ""),
        True,
    )


def test_an_empty_list_of_answers_is_no_answer():
    found = SUITE["squad2"]
    row = {"question": "Who?", "context": "Nobody.", "answers": []}
    assert found.build_row(found.build_task([]), row) == (("Who?", "Nobody."), None)


def test_an_input_may_be_made_of_several_fields():
    found = SUITE["belebele"]
    row = {"question": "Who?", "options": ["Ada", "Alan"], "context": "It was Ada.", "answers": ["Ada"]}
    assert found.build_row(found.build_task([]), row) == (("Who?\nAda\nAlan", "It was Ada."), "Ada")


def test_fields_that_a_row_does_not_say_are_null():
    found = SUITE["restaurant8k"]
    row = {"text": "At eight.", "fields": {"time": "eight"}}
    answer = dict.fromkeys(("date", "people", "first_name", "last_name")) | {"time": "eight"}
    assert found.build_row(found.build_task([]), row) == (("At eight.",), answer)


def test_the_suite_has_fifteen_sets():
    assert len(load_suite(CONF)) == 15


TONE = {"kind": "classification", "name": "tone", "inputs": ["text"], "labels": ["calm", "angry"]}


def written(folder, rows, name):
    (folder / name).write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return name


def calm(number):
    return {"text": f"row {number}", "gold": "calm"}


def test_rows_are_read_and_those_that_teach_are_told_from_those_that_judge(tmp_path):
    found = DataSet(
        task=TONE, answer="gold", train=written(tmp_path, map(calm, range(5)), "train.jsonl"),
        test=written(tmp_path, [calm(7), {"text": " ROW  3", "gold": "angry"}], "test.jsonl"),
    )  # fmt: skip
    rows = read_set("tones", found, tmp_path)
    assert (len(rows.train), len(rows.test), rows.shared) == (5, 2, 1)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_other_files_are_read_alike(tmp_path, suffix):
    import pyarrow as pa
    import pyarrow.parquet

    if suffix == "csv":
        (tmp_path / "test.csv").write_text('text,gold\n"a, b",calm\n', "utf-8")
    else:
        pyarrow.parquet.write_table(pa.table({"text": ["a, b"], "gold": ["calm"]}), tmp_path / "test.parquet")
    rows = read_set("tones", DataSet(task=TONE, answer="gold", test=f"test.{suffix}"), tmp_path)
    assert list(rows.test) == [(("a, b",), "calm")]


def test_of_a_table_the_inputs_that_the_gate_holds_out_judge():
    found = DataSet(task=TONE, answer="gold", table="notes")
    rows = split_table("notes", found, [calm(number) for number in range(100)])
    assert (len(rows.train) + len(rows.test), rows.shared) == (100, 0)
    assert 10 < len(rows.test) < 30


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("task: [", "is not YAML"),
        ("tsk: {}", "task: Field required.*tsk: Extra inputs are not permitted"),
        ("{task: {}, answer: gold}", "give either test"),
        ("{task: {}, answer: gold, test: a, table: b}", "give either test"),
        (
            "{task: {}, answer: gold, test: a, published: {GPT: {value: high, source: s}}}",
            "published.GPT.value",
        ),
    ],
)
def test_a_file_that_is_no_data_set_is_named(tmp_path, content, message):
    (tmp_path / "one.yaml").write_text(content, "utf-8")
    with pytest.raises(SetupError, match=f"(?s)one.yaml.*{message}"):
        load_suite(tmp_path)


def test_two_sets_of_one_name_are_refused(tmp_path):
    for suffix in ("yaml", "yml"):
        (tmp_path / f"one.{suffix}").write_text(
            json.dumps({"task": TONE, "answer": "gold", "test": "a.jsonl"})
        )
    with pytest.raises(SetupError, match="two data sets of the name 'one'"):
        load_suite(tmp_path)


def test_a_file_is_not_taken_for_a_suite(tmp_path):
    file = tmp_path / "one.yaml"
    file.touch()
    with pytest.raises(SetupError, match="it is a file; give its folder"):
        load_suite(file)
    with pytest.raises(SetupError, match="there is no such folder"):
        load_suite(tmp_path / "none")


@pytest.mark.parametrize(
    ("fields", "rows", "message"),
    [
        ({"answer": "label"}, [calm(1)], "its rows have no field 'label'"),
        ({"task": TONE | {"inputs": ["body"]}}, [calm(1)], "its rows have no field 'body'"),
        ({}, [], "has no test rows"),
        ({"test": "none.jsonl"}, [calm(1)], "there is no such file"),
        ({"test": "test.xlsx"}, [calm(1)], "has an unsupported format"),
    ],
)
def test_rows_that_do_not_fit_are_named_with_their_set(tmp_path, fields, rows, message):
    written(tmp_path, rows, "test.jsonl")
    with pytest.raises(SetupError, match=message):
        read_set(
            "tones", DataSet(**{"task": TONE, "answer": "gold", "test": "test.jsonl"} | fields), tmp_path
        )
