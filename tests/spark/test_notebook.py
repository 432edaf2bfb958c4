"""The notebook's cells run in order, and what they show is so."""

import contextlib
import io
import os
from pathlib import Path

import nbformat
import pytest

import sparklabel as sl

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "the_loop.ipynb"


@pytest.fixture(scope="module")
def shown(spark, tmp_path_factory, new_mlflow_store):
    """What the code cells printed. All tests share a session: the first cell, which starts one, and the last, which
    stops it, do not run."""
    printed, names = io.StringIO(), {"sl": sl, "spark": spark, "os": os}
    start, *code, stop = [cell.source for cell in cells() if cell.cell_type == "code"]
    assert "spark = sl.spark_session(" in start
    assert stop == "spark.stop()"
    spark.sql("DROP TABLE IF EXISTS tickets")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("MLFLOW_TRACKING_URI", new_mlflow_store(tmp_path_factory.mktemp("notebook")))
        patch.delenv("SPARKLABEL_FINETUNE", raising=False)
        for number, source in enumerate(code, 1):
            exec(compile(source, f"cell {number}", "exec"), names)
    spark.sql("DROP TABLE tickets")
    return printed.getvalue()


def cells():
    return nbformat.read(NOTEBOOK, as_version=4).cells


def last_table(shown):
    """id -> (intent, source, model), from the labels that the notebook shows at its end."""
    table = shown[shown.rindex("|id |intent") :].partition("+\n\n")[0]
    rows = [
        [field.strip() for field in line.split("|")[1:-1]] for line in table.splitlines() if line[:1] == "|"
    ]
    return {int(row[0]): tuple(row[1:]) for row in rows[1:]}


def test_every_pending_row_is_labeled(shown):
    assert "labeled 10 rows, 2 without an answer" in shown
    assert "written: 2 empty input, 10 ok" in shown


def test_the_figures_leave_out_rows_without_gold(shown):
    assert "10 rows, 2 without a gold value left out" in shown


def test_the_next_pass_keeps_what_people_answered(shown):
    answers = {row: intent for row, (intent, source, _) in last_table(shown).items() if source == "human"}
    assert answers == {1: "new card", 4: "new card", 5: "lost card", 7: "lost card", 8: "refund"}


def test_the_next_pass_labels_the_other_rows_anew(shown):
    new = {row for row, (_, _, model) in last_table(shown).items() if model == "fake:the-next-model"}
    assert new == {2, 3, 6, 9, 10}


def test_the_notebook_is_kept_without_outputs():
    code = [cell for cell in cells() if cell.cell_type == "code"]
    assert [cell.source for cell in code if cell.outputs or cell.execution_count] == []
